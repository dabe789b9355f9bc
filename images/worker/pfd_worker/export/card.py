"""What is known of a model, for people and programs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ase import Atoms

from pfd_operator.contract.exploration import Barostat, ExplorationStage
from pfd_operator.contract.strata import pressure_of, temperature_of
from pfd_worker.acceptance.json_form import as_json
from pfd_worker.acceptance.results import Results
from pfd_worker.acceptance.verdict import Check
from pfd_worker.frames import Sampling
from pfd_worker.md.conditions import first_conditions


@dataclass(frozen=True)
class Range:
    """From the lowest to the highest value."""

    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float | None]) -> Range | None:
        """Return that of the values that are known, None if none is."""
        known = [value for value in values if value is not None]
        return cls(min(known), max(known)) if known else None


@dataclass(frozen=True)
class MdRange:
    """At what MD ran that frames come from."""

    temperatures_kelvin: Range | None
    """None if they come from elsewhere."""
    pressures_bar: Range | None
    """None if it kept its cell."""

    @classmethod
    def of(cls, strata: Collection[str]) -> MdRange:
        """Return that of frames of these strata."""
        return cls(Range.of(map(temperature_of, strata)), Range.of(map(pressure_of, strata)))


@dataclass(frozen=True)
class TrainingCard:
    """What the model was trained on."""

    teacher: str
    """Name or address of the model whose labels it learned."""
    teacher_sha256: str | None
    reference: str | None
    """What the teacher itself was fitted to: engine, functional, pseudopotentials."""
    frames: Mapping[str, int]
    """System → labelled frames in the training set."""
    systems: Mapping[str, MdRange]
    """System → at what it was run for them: not each has all that there is."""
    temperatures_kelvin: Range | None
    """Of the MD that the frames come from; None if they come from elsewhere."""
    pressures_bar: Range | None
    """None if all MD kept its cell."""
    measured_kelvin: Range | None
    """Mean temperatures that this MD had, in the coldest and the hottest stratum; None without an even sample."""
    rounds: int
    """Of exploration and training."""
    seed: int


@dataclass(frozen=True)
class MdConditions:
    """What the inputs in the folder run; inside the range of the training data."""

    temperature_kelvin: float
    pressure_bar: float | None
    """None: constant volume."""
    timestep_fs: float
    seed: int
    barostat: Barostat | None = None
    """None: constant volume."""

    @classmethod
    def first_of(cls, stages: Iterable[ExplorationStage], structure: Atoms, seed: int) -> MdConditions:
        """Return the first conditions that a structure was explored at, as it was run."""
        run = first_conditions(stages).of(structure)
        return cls(run.temperature_kelvin, run.pressure_bar, run.timestep_fs, seed, run.barostat)


@dataclass(frozen=True)
class ModelCard:
    """All that goes into card.json and card.md. What was not measured is None or empty, and the card says so."""

    name: str
    created: str
    """Date or date and time, ISO 8601."""
    architecture: str
    """Descriptor, cutoff and sizes in words."""
    type_map: Sequence[str]
    """Elements in the model's order, which is LAMMPS' order of atom types."""
    training: TrainingCard
    conditions: MdConditions
    results: Results = field(default_factory=Results)
    machine: str | None = None
    """What the speed was measured on: processor or GPU, threads."""
    checks: Sequence[Check] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    """Package → version."""

    def to_json(self) -> dict[str, Any]:
        """Return the form of card.json: the results stand beside the rest."""
        form: dict[str, Any] = as_json(self)
        errors, measured = self.results.errors, form.pop("results")
        return form | {
            "againstTeacher": as_json(errors.holdout),
            "againstDft": as_json(errors.dft),
            "teacherAgainstDft": as_json(errors.teacher_dft),
            "drift": measured["nveDrift"],
            **{key: measured[key] for key in ("dftFiles", "speed", "speedSystem", "stability", "rdfOverlap")},
        }


def measured_kelvin(frames: Iterable[Atoms]) -> list[float]:
    """Return the mean temperature of the MD of each stratum, as it was measured in the frames drawn evenly from it.

    Others are chosen: those on the brink are far too hot, those of low energy too cold.
    """
    found: dict[str, list[float]] = {}
    for atoms in frames:
        if "measured_kelvin" in atoms.info and atoms.info.get("sampling") == Sampling.REPRESENTATIVE:
            found.setdefault(str(atoms.info["stratum"]), []).append(float(atoms.info["measured_kelvin"]))
    return [float(np.mean(values)) for values in found.values()]


def architecture_of(section: Mapping[str, Any]) -> str:
    """Return a model section of training in words."""
    descriptor = section["descriptor"]
    sizes = "-".join(map(str, descriptor.get("neuron", [])))
    fitting = "-".join(map(str, section["fitting_net"].get("neuron", [])))
    return f"{descriptor['type']}, cutoff {descriptor.get('rcut', '?')} Å, embedding {sizes}, fitting {fitting}"

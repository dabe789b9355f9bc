"""What is known of a model, for people and programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pfd_operator.contract.exploration import Barostat
from pfd_operator.contract.outcome import ErrorMetrics
from pfd_worker.acceptance.stability import StableRun
from pfd_worker.acceptance.timed_run import SpeedRecord
from pfd_worker.acceptance.verdict import Check
from pfd_worker.md.drift import NveDrift


@dataclass(frozen=True)
class Range:
    """From the lowest to the highest value."""

    low: float
    high: float


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
    temperatures_kelvin: Range | None
    """Of the MD that the frames come from; None if they come from elsewhere."""
    pressures_bar: Range | None
    measured_kelvin: Range | None
    """Mean temperatures that this MD really had, in the coldest and the hottest stratum."""
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
    against_teacher: ErrorMetrics | None = None
    against_dft: ErrorMetrics | None = None
    teacher_against_dft: ErrorMetrics | None = None
    speed: Sequence[SpeedRecord] = ()
    """Of the models of each `Role`."""
    speed_system: str | None = None
    """The system it was measured on."""
    machine: str | None = None
    """What the speed was measured on: processor or GPU, threads."""
    drift: Mapping[str, NveDrift] = field(default_factory=dict)
    """System → drift."""
    stability: Mapping[str, Sequence[StableRun]] = field(default_factory=dict)
    """System → runs at its extreme conditions."""
    rdf_overlap: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """System → pair of elements → overlap of g(r) with the teacher's."""
    checks: Sequence[Check] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    """Package → version."""

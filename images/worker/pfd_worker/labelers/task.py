"""Tasks: what select asks to be labelled, and a calculation with all that decides its label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from ase import Atoms

from pfd_operator.contract.digest import digest_of
from pfd_operator.contract.selection import TaskPurpose
from pfd_worker.frames import Sampling
from pfd_worker.labelers.fingerprint import as_in_keys, of_elements
from pfd_worker.labelers.k_points import mesh_of_another_cell
from pfd_worker.velocities import draw_velocities

_DRAWN = "without drift"
"""How velocities are drawn: in another way, they begin another trajectory; the report begins it anew by its task."""


@dataclass(frozen=True)
class AimdSettings:
    """Of a short AIMD trajectory at constant energy."""

    steps: int
    """Each is a label."""
    temperature_kelvin: float
    """Of the velocities that it begins with."""
    timestep_fs: float
    seed: int
    """Of those velocities."""


@dataclass(frozen=True)
class Task:
    """An entry of the list that select writes: a calculation, where its frame comes from and what it is for."""

    frame: int
    """Row in the file of frames beside the list."""
    purpose: TaskPurpose
    sampling: Sampling
    stratum: str
    trajectory: str
    system: str
    novelty: float | None = None
    """Of the frame, to what was labelled before; None if nothing was, or it was not chosen out of MD."""
    measured_kelvin: float | None = None
    """Temperature that MD had at the frame; None if it is of no MD."""
    step: int | None = None
    """Of that MD."""
    aimd: AimdSettings | None = None
    """None: a single point."""

    @property
    def labels(self) -> int:
        """SCF cycles it stands for."""
        return 1 if self.aimd is None else self.aimd.steps

    @property
    def info(self) -> dict[str, Any]:
        """What a labelled frame keeps of it."""
        known: dict[str, Any] = {"purpose": self.purpose, "sampling": str(self.sampling), "stratum": self.stratum}
        known |= {"trajectory": self.trajectory, "system": self.system}
        measured = {"novelty": self.novelty, "measured_kelvin": self.measured_kelvin, "step": self.step}
        return known | {name: value for name, value in measured.items() if value is not None}

    def to_json(self) -> dict[str, Any]:
        """Return the entry."""
        about = {key: value for key, value in asdict(self).items() if key != "aimd" and value is not None}
        return {"kind": "scf" if self.aimd is None else "aimd", **about, **(asdict(self.aimd) if self.aimd else {})}

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Task:
        """Read what `to_json` wrote."""
        aimd = AimdSettings(**_of(AimdSettings, entry)) if entry["kind"] == "aimd" else None
        return cls(**{**_of(cls, entry), "sampling": Sampling(entry["sampling"])}, aimd=aimd)


def _of(kind: type[Task] | type[AimdSettings], entry: Mapping[str, Any]) -> dict[str, Any]:
    return {name: entry[name] for name in kind.__dataclass_fields__ if name in entry}


@dataclass(frozen=True)
class Calculation:
    """One calculation: a single point, or a short AIMD trajectory."""

    atoms: Atoms
    aimd: AimdSettings | None = None

    def key(self, engine: Mapping[str, Any]) -> str:
        """Return the content key: equal structure, engine, settings (and MD settings) give an equal key.

        How many processes compute it is no part of it: the words of a launcher before the program are left out. Nor are
        pseudopotentials of elements that the structure does not have. Another mesh of k-points is another label.
        """
        engine_of_elements = as_in_keys(of_elements(engine, set(self.atoms.get_chemical_symbols())))
        content = structure_content(self.atoms) | {"engine": engine_of_elements}
        mesh = mesh_of_another_cell(self.atoms, engine)
        if mesh is not None:
            content["k_mesh"] = mesh
        if self.aimd is not None:
            content["aimd"] = [*asdict(self.aimd).values(), _DRAWN]
        return digest_of(content)

    def start(self) -> Atoms:
        """Return the start of an AIMD trajectory with velocities drawn from its seed, total momentum zero.

        Raises
        ------
        ValueError
            If it is a single point.
        """
        if self.aimd is None:
            raise ValueError("a single point has no velocities")
        atoms: Atoms = self.atoms.copy()
        draw_velocities(atoms, self.aimd.temperature_kelvin, np.random.default_rng(self.aimd.seed))
        return atoms


def structure_content(atoms: Atoms) -> dict[str, Any]:
    """Return what equal structures have in common, for digests.

    Coordinates are rounded to 1e-8 Å, far below what any label resolves and far above what reading a text file changes.
    """
    return {
        "numbers": atoms.numbers.tolist(),
        "cell": _rounded(atoms.cell.array),
        "positions": _rounded(atoms.positions),
        "pbc": atoms.pbc.tolist(),
    }


def _rounded(values: np.ndarray[Any, Any]) -> list[list[float]]:
    # + 0.0 turns -0.0 into 0.0: equal numbers must have equal texts
    rounded: list[list[float]] = (np.round(values, 8) + 0.0).tolist()
    return rounded

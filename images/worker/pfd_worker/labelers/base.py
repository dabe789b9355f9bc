"""What every labeler has in common: tasks, verdicts, keys, and the two ways of computing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from ase import Atoms

from pfd_operator.contract.digest import digest_of
from pfd_worker.labelers.fingerprint import without_launcher
from pfd_worker.velocities import draw_velocities

_DRAWN = "without drift"
"""How velocities are drawn: in another way, they begin another trajectory; the report begins it anew by its task."""
INFO_KEYS = ("purpose", "sampling", "stratum", "trajectory", "system")
"""Where a frame comes from and what it is for, as select says it."""


def task_info(task: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a labelled frame keeps of its task: INFO_KEYS, and how novel it was where select knew."""
    novelty = {"novelty": float(task["novelty"])} if "novelty" in task else {}
    return {**{key: str(task[key]) for key in INFO_KEYS}, **novelty}


@dataclass(frozen=True)
class LabelTask:
    """One calculation: a single point, or a short AIMD trajectory if `steps` is given."""

    atoms: Atoms
    info: Mapping[str, Any]
    """`task_info` of its frames."""
    steps: int | None = None
    temperature_kelvin: float = 0.0
    timestep_fs: float = 0.0
    seed: int = 0

    @classmethod
    def from_json(cls, task: Mapping[str, Any], atoms: Atoms) -> LabelTask:
        """Read one entry of a select stage's task list."""
        info = task_info(task)
        if task["kind"] == "scf":
            return cls(atoms, info)
        aimd = {key: task[key] for key in ("steps", "temperature_kelvin", "timestep_fs", "seed")}
        return cls(atoms, info, **aimd)

    @property
    def labels(self) -> int:
        """SCF cycles it stands for."""
        return self.steps or 1

    def key(self, engine: Mapping[str, Any]) -> str:
        """Return the content key: equal structure, engine, settings (and MD settings) give an equal key.

        How many processes compute it is no part of it: the words of a launcher before the program are left out.
        Coordinates are rounded to 1e-8 Å, far below what any label resolves and far above what reading a text file
        changes.
        """
        content: dict[str, Any] = {
            "numbers": self.atoms.numbers.tolist(),
            "cell": _rounded(self.atoms.cell.array),
            "positions": _rounded(self.atoms.positions),
            "pbc": self.atoms.pbc.tolist(),
            "engine": without_launcher(engine),
        }
        if self.steps is not None:
            content["aimd"] = [self.steps, self.temperature_kelvin, self.timestep_fs, self.seed, _DRAWN]
        return digest_of(content)

    def start(self) -> Atoms:
        """Return the start of an AIMD trajectory with velocities drawn from the task's seed, total momentum zero."""
        atoms: Atoms = self.atoms.copy()
        draw_velocities(atoms, self.temperature_kelvin, np.random.default_rng(self.seed))
        return atoms


def _rounded(values: np.ndarray[Any, Any]) -> list[list[float]]:
    # + 0.0 turns -0.0 into 0.0: equal numbers must have equal texts
    rounded: list[list[float]] = (np.round(values, 8) + 0.0).tolist()
    return rounded


@dataclass(frozen=True)
class Verdict:
    """What became of a calculation."""

    frames: tuple[Atoms, ...] = ()
    """Labelled: energy (eV), forces (eV/Å), info["virial"] (3, 3) in eV. Of AIMD that failed, the steps before."""
    reason: str = ""
    """Empty if it succeeded."""
    message: str = ""
    """The engine's last lines, for people."""

    @property
    def ok(self) -> bool:
        """Whether it came to its end."""
        return not self.reason


class ExternalLabeler(Protocol):
    """An engine with an image of its own: files in, files out, nothing of ours in between."""

    def write_inputs(self, task: LabelTask, directory: Path) -> None:
        """Write everything the engine reads, and `command.sh`, a POSIX script run in the directory."""
        ...

    def read_outputs(self, task: LabelTask, directory: Path, exit_code: int) -> Verdict:
        """Judge what the engine wrote."""
        ...


class InProcessLabeler(Protocol):
    """An engine that the worker image holds."""

    def compute(self, task: LabelTask) -> Verdict:
        """Compute a label."""
        ...

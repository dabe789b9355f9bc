"""How far a trajectory has come: what it gave, and all that its next step follows from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from ase import Atoms
from ase.md.md import MolecularDynamics
from numpy.typing import NDArray

INTEGRATOR = ("accel", "force_eps", "p_eps", "gamma_mod")
"""What ASE's `LangevinBAOAB` carries from step to step beside the atoms and its random numbers. Its version is pinned,
and a test stops and resumes MD in every ensemble."""


@dataclass
class TrajectoryOutcome:
    """What one trajectory gave."""

    frames: list[Atoms] = field(default_factory=list)
    steps_done: int = 0
    exploded_at_step: int | None = None
    reason: str | None = None

    def drop_equilibration(self, steps: int) -> None:
        """Drop the frames of the first steps. If it exploded, mark them: they show where the model is wrong."""
        if self.exploded_at_step is None:
            self.frames = [frame for frame in self.frames if frame.info["step"] > steps]
        for frame in self.frames:
            frame.info["heating"] = frame.info["step"] <= steps

    def mean(self, measured: str) -> float | None:
        """Return the mean over the typical frames of what MD measured, by its name in their info; None without any."""
        typical = [frame.info for frame in self.frames if not (frame.info["brink"] or frame.info["heating"])]
        values = [info[measured] for info in typical if measured in info]
        return float(np.mean(values)) if values else None


@dataclass(frozen=True)
class MdState:
    """Positions, velocities and integrator between two steps."""

    begun_ev: float
    """Energy of the start, in eV."""
    arrays: dict[str, NDArray[np.float64]]
    """positions (n, 3), cell (3, 3), momenta (n, 3), and what the integrator has of `INTEGRATOR`; in ASE's units."""
    random: dict[str, Any] | None
    """State of the thermostat's random numbers; None without a thermostat."""

    @classmethod
    def of(cls, dynamics: MolecularDynamics, begun_ev: float) -> MdState:
        """Return a copy of what there is now."""
        atoms, own = dynamics.atoms, vars(dynamics)
        arrays = {"positions": atoms.positions.copy(), "cell": atoms.cell.array.copy(), "momenta": atoms.get_momenta()}
        arrays |= {name: np.array(own[name], dtype=float) for name in INTEGRATOR if name in own}
        return cls(begun_ev, arrays, own["rng"].bit_generator.state if "rng" in own else None)

    def restore(self, dynamics: MolecularDynamics) -> None:
        """Put it into dynamics of the same task that have not run yet.

        Raises
        ------
        KeyError, ValueError
            If it is of other dynamics.
        """
        atoms = dynamics.atoms
        atoms.set_cell(self.arrays["cell"])
        atoms.set_positions(self.arrays["positions"])
        atoms.set_momenta(self.arrays["momenta"])
        for name in INTEGRATOR:
            if name in vars(dynamics):
                # without the index a number would come back as an array, which cannot take a tensor's sum in place
                setattr(dynamics, name, self.arrays[name].copy()[()])
        if self.random is not None:
            dynamics.rng.bit_generator.state = self.random


@dataclass(frozen=True)
class Reached:
    """How far a trajectory had come when it was last kept."""

    outcome: TrajectoryOutcome
    state: MdState | None
    """None: it has ended."""


class Kept(Protocol):
    """Where a trajectory tells how far it has come, and asks how far it had come before."""

    def begun(self) -> Reached | None:
        """Return where it goes on; None if it begins."""
        ...

    def reached(self, outcome: TrajectoryOutcome, state: MdState | None) -> None:
        """Take note, at each check: `outcome` goes on changing afterwards, `state` is None at the end."""
        ...


class NotKept:
    """Of a trajectory that begins anew whenever it is run."""

    def begun(self) -> None:
        """Return that it begins."""

    def reached(self, outcome: TrajectoryOutcome, state: MdState | None) -> None:
        """Forget it."""

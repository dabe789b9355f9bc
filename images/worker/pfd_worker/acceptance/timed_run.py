"""One model at one size: warm-up, timed MD steps, and what came of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.md.md import MolecularDynamics

from pfd_operator.contract.exploration import Ensemble
from pfd_worker.acceptance.memory import MemoryForecast
from pfd_worker.frames import has_virial
from pfd_worker.md.conditions import FS_PER_PS, Conditions
from pfd_worker.md.dynamics import make_dynamics
from pfd_worker.models.base import FrameCalculator
from pfd_worker.out_of_memory import is_out_of_memory

LEAST_STEPS = 3
TIMESTEP_FS = 1.0
TEMPERATURE_KELVIN = 300.0


class Role(StrEnum):
    """The two models of an acceptance."""

    TEACHER = "teacher"
    STUDENT = "student"


@dataclass(frozen=True)
class SpeedRecord:
    """MD speed of one model at one size."""

    model: str
    asked_atoms: int
    atoms: int
    """Of the cell that was really run."""
    median_ms_per_step: float | None
    """None if nothing was measured; `note` says why."""
    steps_per_second: float | None
    """1000 / median_ms_per_step."""
    steps: int
    """Timed steps, warm-up not counted."""
    fits: bool
    """False if the size needs more memory than there is."""
    note: str | None
    """Why there are fewer steps than asked, or none."""


def properties_of_a_step(atoms: Atoms) -> list[str]:
    """Return what MD of these atoms computes: what has no pressure has no stress."""
    return ["energy", "forces", "stress"] if has_virial(atoms) else ["energy", "forces"]


def _in_one_evaluation(inner: Calculator, properties: list[str]) -> FrameCalculator:
    """Ask for all that a step computes together: some calculators would run twice for forces and then stress."""

    def evaluate(atoms: Atoms) -> dict[str, Any]:
        inner.calculate(atoms, properties, list(all_changes))
        return dict(inner.results)

    return FrameCalculator(evaluate, [*properties, "free_energy"])


@dataclass
class TimedRun:
    """MD of one model on one cell, a step at a time."""

    model: str
    asked_atoms: int
    calculator: Calculator
    start: Atoms
    seed: int
    fits: bool = True
    note: str | None = None
    milliseconds: list[float] = field(default_factory=list)
    dynamics: MolecularDynamics | None = None
    spent_seconds: float = 0.0

    def does_not_fit(self, note: str) -> None:
        """Give up, and say why."""
        self.fits, self.note, self.dynamics = False, note, None
        self.milliseconds.clear()

    def warm_up(self, steps: int, limit_seconds: float, forecast: MemoryForecast) -> None:
        """Run one evaluation and untimed steps while there is time; nothing if the forecast sees it not fit."""
        refusal = forecast.refusal(len(self.start))
        if refusal is not None:
            self.does_not_fit(refusal)
            return
        atoms = self.start.copy()
        atoms.calc = _in_one_evaluation(self.calculator, properties_of_a_step(atoms))
        conditions = Conditions(Ensemble.NVE, TEMPERATURE_KELVIN, TIMESTEP_FS)
        task = conditions.task(steps * TIMESTEP_FS / FS_PER_PS, self.seed)
        self.dynamics = dynamics = make_dynamics(atoms, task, Ensemble.NVE)
        forecast.start()
        # a first evaluation by itself: where it takes all the time there is, no step of warm-up follows
        if self._spend(atoms.get_forces):
            for _ in range(steps):
                if self.spent_seconds >= limit_seconds or not self._spend(lambda: dynamics.run(1)):
                    break
        if self.fits:
            forecast.note(len(self.start))

    def wants_more(self, steps: int, limit_seconds: float) -> bool:
        """Tell whether another timed step is due: 3 in any case, then as long as there is time."""
        if self.dynamics is None or len(self.milliseconds) >= steps:
            return False
        return self.spent_seconds < limit_seconds or len(self.milliseconds) < min(LEAST_STEPS, steps)

    def timed_step(self) -> bool:
        """Run and time one step; False if memory ran out."""
        before, dynamics = self.spent_seconds, self.dynamics
        if dynamics is None or not self._spend(lambda: dynamics.run(1)):
            return False
        self.milliseconds.append(1000 * (self.spent_seconds - before))
        return True

    def _spend(self, work: Callable[[], object]) -> bool:
        started = time.perf_counter()
        try:
            work()
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            lines = str(error).strip().splitlines()
            self.does_not_fit(f"out of memory: {lines[-1][:200]}" if lines else "out of memory")
            return False
        self.spent_seconds += time.perf_counter() - started
        return True

    def record(self, asked_steps: int) -> SpeedRecord:
        """Return what was measured."""
        median = statistics.median(self.milliseconds) if self.milliseconds else None
        done, note = len(self.milliseconds), self.note
        if note is None and done < asked_steps:
            note = f"{done} steps instead of {asked_steps} in {self.spent_seconds:.1f} s, warm-up included"
        return SpeedRecord(
            model=self.model,
            asked_atoms=self.asked_atoms,
            atoms=len(self.start),
            median_ms_per_step=median,
            steps_per_second=None if median is None else 1000 / median,
            steps=done,
            fits=self.fits,
            note=note,
        )

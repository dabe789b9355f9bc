"""Whether MD at constant energy keeps it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from numpy.typing import NDArray

from pfd_operator.contract.exploration import Ensemble
from pfd_operator.contract.tasks import MdTask
from pfd_worker.frames import bare
from pfd_worker.md.conditions import FS_PER_PS, Conditions
from pfd_worker.md.dynamics import make_dynamics
from pfd_worker.md.faults import advance
from pfd_worker.md.trajectory import run_trajectory

EQUILIBRATION_PS = 0.2
LEAST_SAMPLES = 3
MIN_DISTANCE_FACTOR = 0.5
"""Of covalent radii: below this a pair has fallen into a hole of the model; hot MD does not go there."""


@dataclass(frozen=True)
class NveDrift:
    """How well MD at constant energy kept it."""

    picoseconds: float
    """Run, after equilibration."""
    drift: float | None
    """Slope of a straight line through the total energy, in meV/atom/ps; None if the run is too short for one."""
    max_deviation: float | None
    """Largest distance of the total energy from that line, in meV/atom."""
    mean_temperature_kelvin: float | None
    exploded_at_step: int | None
    """Counted from the end of equilibration; 0 if equilibration itself exploded."""
    reason: str | None
    """Why it exploded, or why there is no drift."""


def measure_nve_drift(
    start: Atoms,
    calculator: Calculator,
    temperature_kelvin: float,
    picoseconds: float,
    timestep_fs: float,
    seed: int,
    stopping: threading.Event,
    on_step: Callable[[int], None] = lambda step: None,
) -> NveDrift:
    """Run velocity Verlet after 0.2 ps of Langevin dynamics and fit a line to the total energy.

    Parameters
    ----------
    start
        Start structure; not changed.
    calculator
        The model.
    temperature_kelvin
        Of the thermostat, and of the velocities that the run at constant energy starts with.
    picoseconds
        Length of the run at constant energy.
    timestep_fs
        The drift belongs to it: a timestep too long drifts with a perfect model.
    seed
        Of velocities and thermostat.
    stopping
        When set, the run ends at the next sample; the record is of what was run.
    on_step
        Called with the step every 10 fs.
    """
    conditions = Conditions(Ensemble.NVT, temperature_kelvin, timestep_fs)
    warm = conditions.task(EQUILIBRATION_PS, seed)
    warm = warm.model_copy(update={"sample_every": warm.steps})
    equilibrated = run_trajectory(
        start, calculator, warm, "equilibration", MIN_DISTANCE_FACTOR, stopping, lambda step: None
    )
    if equilibrated.exploded_at_step is not None:
        why = f"in equilibration at step {equilibrated.exploded_at_step}: {equilibrated.reason}"
        return NveDrift(0.0, None, None, None, 0, why)
    if not equilibrated.frames:
        return NveDrift(0.0, None, None, None, None, "stopped during equilibration")
    task = replace(conditions, ensemble=Ensemble.NVE).task(picoseconds, seed)
    return _nve(equilibrated.frames[-1], calculator, task, stopping, on_step)


def _nve(
    start: Atoms, calculator: Calculator, task: MdTask, stopping: threading.Event, on_step: Callable[[int], None]
) -> NveDrift:
    atoms = bare(start)
    atoms.calc = calculator
    dynamics = make_dynamics(atoms, task, Ensemble.NVE)
    samples = [(0.0, atoms.get_total_energy() / len(atoms), atoms.get_temperature())]
    done, exploded_at_step, reason = 0, None, None
    while done < task.steps and reason is None and not stopping.is_set():
        chunk = min(task.sample_every, task.steps - done)
        reason = advance(dynamics, chunk, task, MIN_DISTANCE_FACTOR, start)
        done += chunk
        if reason is not None:
            exploded_at_step = done
            break
        picoseconds = done * task.timestep_fs / FS_PER_PS
        samples.append((picoseconds, atoms.get_total_energy() / len(atoms), atoms.get_temperature()))
        on_step(done)
    run = done * task.timestep_fs / FS_PER_PS
    return _fitted(np.array(samples), run, exploded_at_step, reason)


def _fitted(samples: NDArray[np.float64], run: float, exploded_at_step: int | None, reason: str | None) -> NveDrift:
    time, energy, temperature = samples.T
    if exploded_at_step is None and len(time) < LEAST_SAMPLES:
        reason = f"{len(time)} samples of the energy are too few for a line"
    if reason is not None:
        return NveDrift(run, None, None, None, exploded_at_step, reason)
    slope, offset = np.polyfit(time, energy, 1)
    deviation = np.abs(energy - (slope * time + offset)).max()
    return NveDrift(run, 1000 * float(slope), 1000 * float(deviation), float(temperature.mean()), None, None)

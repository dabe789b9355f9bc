"""How long MD with a model lasts at constant temperature, and pressure or volume."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import Calculator

from pfd_operator.contract.exploration import Barostat, Ensemble
from pfd_worker.md.conditions import FS_PER_PS, Conditions
from pfd_worker.md.drift import MIN_DISTANCE_FACTOR
from pfd_worker.md.trajectory import run_trajectory

SAMPLE_FS = 50.0
"""Time between the frames whose density is taken."""


@dataclass(frozen=True)
class StableRun:
    """How long MD with a thermostat lasted."""

    ensemble: Ensemble
    """NPT or NVT."""
    temperature_kelvin: float
    pressure_bar: float | None
    barostat: Barostat | None
    asked_picoseconds: float
    picoseconds: float
    """Run before the end or the explosion: what was asked, if neither explosion nor stop came before."""
    exploded_at_step: int | None
    reason: str | None
    density_min: float | None
    """In g/cm³, of the sampled frames; None without a cell."""
    density_mean: float | None
    density_max: float | None


def measure_stability(
    start: Atoms,
    calculator: Calculator,
    conditions: Conditions,
    picoseconds: float,
    seed: int,
    stopping: threading.Event,
    on_step: Callable[[int], None] = lambda step: None,
    on_frame: Callable[[Atoms], None] = lambda atoms: None,
) -> StableRun:
    """Run MD with a thermostat for so many picoseconds, or until it explodes.

    What counts as an explosion is what ends exploration early: energies or forces that are not numbers, a temperature
    far above the thermostat's, atoms that overlap, a cell that halves or doubles its volume.

    Parameters
    ----------
    start
        Start structure; not changed.
    calculator
        The model.
    conditions
        A slab (info `slab`) and a molecule are run at constant volume whatever is asked.
    picoseconds
        Asked length.
    seed
        Of velocities and thermostat.
    stopping
        When set, the run ends at the next check; then `picoseconds` is short of what was asked, without a reason.
    on_step
        Called with the step now and then.
    on_frame
        Called with a frame every 50 fs, for radial distribution functions for example. None is kept here.
    """
    run = conditions.of(start)
    task = run.task(picoseconds, seed, SAMPLE_FS)
    densities = [density(start)] if start.pbc.all() else []

    def take(atoms: Atoms) -> None:
        if densities:
            densities.append(density(atoms))
        on_frame(atoms)

    outcome = run_trajectory(start, calculator, task, "stability", MIN_DISTANCE_FACTOR, stopping, on_step, take)
    completed = outcome.reason is None and outcome.steps_done == task.steps
    # the last step may end beyond what was asked; an explosion found there still came before
    lasted = min(outcome.steps_done, task.steps - 1) * run.timestep_fs / FS_PER_PS
    return StableRun(
        ensemble=run.ensemble,
        temperature_kelvin=run.temperature_kelvin,
        pressure_bar=run.pressure_bar,
        barostat=run.barostat,
        asked_picoseconds=picoseconds,
        picoseconds=picoseconds if completed else lasted,
        exploded_at_step=outcome.exploded_at_step,
        reason=outcome.reason,
        density_min=min(densities, default=None),
        density_mean=float(np.mean(densities)) if densities else None,
        density_max=max(densities, default=None),
    )


def density(atoms: Atoms) -> float:
    """Return the mass density of a periodic structure, in g/cm³."""
    grams, cm3 = atoms.get_masses().sum() / units.kg * 1000, atoms.get_volume() * 1e-24
    return float(grams / cm3)

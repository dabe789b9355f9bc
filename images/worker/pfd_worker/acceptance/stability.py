"""How long MD with a model lasts at constant temperature, and pressure or volume, and whether it is what was asked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import Calculator
from ase.data import covalent_radii

from pfd_operator.contract.exploration import THERMOSTAT_FS, Barostat, Ensemble
from pfd_worker.md.conditions import FS_PER_PS, Conditions
from pfd_worker.md.drift import MIN_DISTANCE_FACTOR
from pfd_worker.md.trajectory import run_trajectory
from pfd_worker.selection.pair_distances import PairDistances, named, numbers_of

SAMPLE_FS = 50.0
"""Time between the frames whose density, temperature and distances are taken."""
FEWEST_THERMOSTAT_TIMES = 5
"""Over fewer a mean temperature says nothing of the thermostat's."""
TEMPERATURE_TOLERANCE = 0.1
"""Relative. Integrators with long timesteps, and small cells, are a few percent off without any fault of the model."""
STANDARD_ERRORS = 4
CLOSEST_FACTOR = 0.8
"""Of the shortest distance of two elements in the teacher's MD, which the student's longer MD may go below."""


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
    """Run before the end, the explosion or atoms too close: what was asked, if none of it came before. 0 if the
    temperature was not the thermostat's: then all of it is of something else."""
    exploded_at_step: int | None
    reason: str | None
    density_min: float | None
    """In g/cm³, of the sampled frames; None without a cell."""
    density_mean: float | None
    density_max: float | None
    mean_temperature_kelvin: float | None
    """Measured in the second half; None if that is too short to tell."""

    @property
    def words(self) -> str:
        """Temperature and pressure asked for."""
        pressure = "" if self.pressure_bar is None else f", {self.pressure_bar:g} bar"
        return f"{self.temperature_kelvin:g} K{pressure}"


def measure_stability(
    start: Atoms,
    calculator: Calculator,
    conditions: Conditions,
    picoseconds: float,
    seed: int,
    stopping: threading.Event,
    on_step: Callable[[int], None] = lambda step: None,
    on_frame: Callable[[Atoms], None] = lambda atoms: None,
    shortest: Mapping[int, float] | None = None,
) -> StableRun:
    """Run MD with a thermostat for so many picoseconds, or until it explodes.

    What counts as an explosion is what ends exploration early: energies or forces that are not numbers, a temperature
    far above the thermostat's, an energy far from the start's, atoms that overlap, a cell that doubles its volume or
    shrinks to a quarter of it. What exploration lets pass is told afterwards: a mean temperature that is not the
    thermostat's, and pairs that the teacher keeps apart.

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
    shortest
        Pair of elements → its shortest distance in the teacher's MD, in Å: see `selection.pair_distances`.
    """
    run = conditions.of(start)
    task = run.task(picoseconds, seed, SAMPLE_FS)
    samples = _Samples(_closest(shortest or {}), [density(start)] if start.pbc.all() else [])

    def take(atoms: Atoms) -> None:
        samples.take(atoms)
        on_frame(atoms)

    outcome = run_trajectory(start, calculator, task, "stability", MIN_DISTANCE_FACTOR, stopping, on_step, take)
    exploded, reason = samples.too_close or (outcome.exploded_at_step, outcome.reason)
    completed = reason is None and outcome.steps_done == task.steps
    # the last step may end beyond what was asked; an explosion found there still came before
    lasted = min(outcome.steps_done if exploded is None else exploded, task.steps - 1) * run.timestep_fs / FS_PER_PS
    kelvin, over_fs = samples.mean_temperature(task.sample_every * run.timestep_fs)
    if reason is None and kelvin is not None:
        reason = _wrong_temperature(kelvin, run.temperature_kelvin, len(start), over_fs)
        completed, lasted = completed and reason is None, lasted if reason is None else 0.0
    densities = samples.densities
    return StableRun(
        ensemble=run.ensemble,
        temperature_kelvin=run.temperature_kelvin,
        pressure_bar=run.pressure_bar,
        barostat=run.barostat,
        asked_picoseconds=picoseconds,
        picoseconds=picoseconds if completed else lasted,
        exploded_at_step=exploded,
        reason=reason,
        density_min=min(densities, default=None),
        density_mean=float(np.mean(densities)) if densities else None,
        density_max=max(densities, default=None),
        mean_temperature_kelvin=kelvin,
    )


@dataclass
class _Samples:
    """What is kept of the frames of a run."""

    closest: Mapping[int, float]
    """Pair of elements → how close it may come, in Å."""
    densities: list[float]
    """In g/cm³; empty from the start where there is no cell."""
    temperatures: list[float] = field(default_factory=list)
    too_close: tuple[int, str] | None = None
    """The first step at which two atoms were, and which."""

    def take(self, atoms: Atoms) -> None:
        if self.densities:
            self.densities.append(density(atoms))
        self.temperatures.append(float(atoms.info["measured_kelvin"]))
        if self.closest and self.too_close is None:
            words = _too_close(atoms, self.closest)
            self.too_close = None if words is None else (int(atoms.info["step"]), words)

    def mean_temperature(self, sample_fs: float) -> tuple[float | None, float]:
        """Return the mean over the second half, None if that is too short to tell, and how long it is, in fs."""
        later = self.temperatures[len(self.temperatures) // 2 :]
        over_fs = len(later) * sample_fs
        told = over_fs >= FEWEST_THERMOSTAT_TIMES * THERMOSTAT_FS
        return float(np.mean(later)) if told else None, over_fs


def _wrong_temperature(kelvin: float, asked: float, atoms: int, femtoseconds: float) -> str | None:
    """Say that a mean over so long is not the thermostat's temperature; None if chance, too, may make it so."""
    # kinetic energies twice the thermostat's time apart have nothing to do with each other
    standard_error = np.sqrt(2 / (3 * atoms) * 2 * THERMOSTAT_FS / femtoseconds)
    tolerance = max(TEMPERATURE_TOLERANCE, STANDARD_ERRORS * standard_error) * asked
    if abs(kelvin - asked) <= tolerance:
        return None
    return (
        f"its mean temperature was {kelvin:.0f} K, not the thermostat's within {tolerance:.0f} K: the forces are no "
        "gradient of an energy, or the timestep is too long"
    )


def _closest(shortest: Mapping[int, float]) -> dict[int, float]:
    """Return how close each pair of elements may come: no farther than a bond, which MD may make at any time."""
    return {
        elements: min(CLOSEST_FACTOR * distance, float(covalent_radii[list(numbers_of(elements))].sum()))
        for elements, distance in shortest.items()
    }


def _too_close(atoms: Atoms, closest: Mapping[int, float]) -> str | None:
    for elements, distance in PairDistances.of(atoms).shortest().items():
        if distance < closest.get(elements, 0.0):
            limit = closest[elements]
            return (
                f"{named(elements)} are {distance:.2f} Å apart, less than {limit:.2f} Å: the teacher's never come near"
            )
    return None


def density(atoms: Atoms) -> float:
    """Return the mass density of a periodic structure, in g/cm³."""
    grams, cm3 = atoms.get_masses().sum() / units.kg * 1000, atoms.get_volume() * 1e-24
    return float(grams / cm3)

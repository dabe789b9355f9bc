"""Why a trajectory ends early: what it must not come to, looked at between steps."""

from __future__ import annotations

import math

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import CalculationFailed
from ase.md.md import MolecularDynamics
from numpy.typing import NDArray

from pfd_operator.contract.tasks import MdTask
from pfd_operator.contract.text import shortened
from pfd_worker.selection.geometry import geometry_fault

_WORDS_MAX = 200
HOT_FACTOR = 5.0
HOT_MARGIN_KELVIN = 3000.0
"""A trajectory hotter than HOT_FACTOR·T + HOT_MARGIN_KELVIN gets its energy from a hole in the model."""
LARGEST_FORCE_EV_PER_ANGSTROM = 100.0
"""Atoms as near as MD may bring them push each other by less. Of a thousand atoms one may have fallen into a hole of
the model long before the temperature and the energy, which are of all, tell."""
ENERGY_DEVIATION_EV_PER_ATOM = 3.0
"""From the start, besides the 3/2 kT that a cold crystal takes up and what pressure does: into a hole MD may fall so
slowly that the thermostat keeps it cool."""


def fault(atoms: Atoms, task: MdTask, min_distance_factor: float, start: Atoms) -> str | None:
    """Say in words what is wrong with a frame of MD, None if nothing is."""
    try:
        energy, forces = atoms.get_potential_energy(), np.linalg.norm(atoms.get_forces(), axis=1)
    except CalculationFailed as error:
        return _calculator_failed(error)
    if not (np.isfinite(energy) and np.isfinite(forces).all()):
        return "energy or forces are not numbers"
    temperature = atoms.get_temperature()
    if not np.isfinite(temperature):
        return "velocities are not numbers"
    limit = HOT_FACTOR * task.temperature_kelvin + HOT_MARGIN_KELVIN
    if temperature > limit:
        return f"the temperature is {temperature:.0f} K, above {limit:.0f} K: the model creates energy"
    return geometry_fault(atoms, min_distance_factor, start) or _force_fault(atoms, forces)


def _force_fault(atoms: Atoms, forces: NDArray[np.float64]) -> str | None:
    atom = int(forces.argmax())
    if forces[atom] <= LARGEST_FORCE_EV_PER_ANGSTROM:
        return None
    return (
        f"the force on atom {atom} ({atoms.symbols[atom]}) is {forces[atom]:.0f} eV/Å, above "
        f"{LARGEST_FORCE_EV_PER_ANGSTROM:g}: the model has a hole there"
    )


def energy_fault(atoms: Atoms, begun_ev: float, task: MdTask, start: Atoms) -> str | None:
    """Say in words that the energy is too far from that of the start, `begun_ev` in eV; None if it is not."""
    deviation = (atoms.get_potential_energy() - begun_ev) / len(atoms)
    # a bound: where a cell shrinks at once, the thermostat takes part of this away as heat
    work = (task.pressure_bar or 0.0) * units.bar * (start.cell.volume - atoms.cell.volume) / len(atoms)
    limit = ENERGY_DEVIATION_EV_PER_ATOM + 1.5 * units.kB * task.temperature_kelvin
    limit += max(math.copysign(1.0, deviation) * work, 0.0)
    if abs(deviation) <= limit:
        return None
    return f"the energy is {deviation:+.1f} eV per atom from that of its start, more than {limit:.1f}"


def _calculator_failed(error: CalculationFailed) -> str:
    """Return why a trajectory ends whose calculator gives up on a frame, as reference codes do that do not converge."""
    return f"the calculator failed: {shortened(' '.join(str(error).split()), _WORDS_MAX)}"


def advance(
    dynamics: MolecularDynamics,
    steps: int,
    task: MdTask,
    min_distance_factor: float,
    start: Atoms,
) -> str | None:
    """Go on by some steps.

    Parameters
    ----------
    start
        Where the MD began: its cell is what the cell is compared with.

    Returns
    -------
    str or None
        Why the trajectory exploded; None if it did not.
    """
    atoms = dynamics.atoms
    with np.errstate(all="ignore"):
        try:
            dynamics.run(steps)
        except CalculationFailed as error:
            return _calculator_failed(error)
        except (ValueError, ArithmeticError, RuntimeError, np.linalg.LinAlgError) as error:
            # with positions gone to infinity, neighbour lists and matrix functions fail in ways of their own; anything
            # else is a bug
            if geometry_fault(atoms, min_distance_factor, start) is None:
                raise
            return f"the integrator failed: {error}"
    return fault(atoms, task, min_distance_factor, start)

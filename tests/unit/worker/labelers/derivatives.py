"""Finite differences: forces are the derivatives of the labelled energy, virials those by strain."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from ase import Atoms

from pfd_worker.frames import energy_of, virial_of

Compute = Callable[[Atoms], Atoms]
"""Returns the labelled copy of a structure."""


def force_differences(compute: Compute, atoms: Atoms, components: list[tuple[int, int]], step: float) -> np.ndarray:
    """Return label minus central difference, in eV/Å, of (atom, axis) components; step in Å."""
    forces = compute(atoms).get_forces()
    differences = []
    for atom, axis in components:
        energies = []
        for sign in (1, -1):
            moved = atoms.copy()
            moved.positions[atom, axis] += sign * step
            energies.append(energy_of(compute(moved)))
        differences.append(forces[atom, axis] + (energies[0] - energies[1]) / (2 * step))
    return np.array(differences)


def virial_differences(compute: Compute, atoms: Atoms, components: list[tuple[int, int]], strain: float) -> np.ndarray:
    """Return label minus central difference, in eV, of virial components: -dE/d(strain)."""
    virial = virial_of(compute(atoms))
    assert virial is not None
    differences = []
    for row, column in components:
        energies = []
        for sign in (1, -1):
            deformation = np.eye(3)
            deformation[row, column] += sign * strain / 2
            deformation[column, row] += sign * strain / 2
            strained = atoms.copy()
            strained.set_cell(atoms.cell.array @ deformation, scale_atoms=True)
            energies.append(energy_of(compute(strained)))
        differences.append(virial[row, column] + (energies[0] - energies[1]) / (2 * strain))
    return np.array(differences)

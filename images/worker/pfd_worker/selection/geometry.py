"""Frames no reference calculation should be wasted on: overlapping atoms, collapsed or torn cells, NaN."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from ase.neighborlist import neighbor_list

SMALLEST_CELL_HEIGHT_ANGSTROM = 1.0
VOLUME_CHANGE_FACTOR = 2.0
"""MD whose cell grew or shrank by more than this has evaporated or collapsed."""


@dataclass(frozen=True)
class Overlap:
    """Two atoms that are too close."""

    first: int
    second: int
    distance_angstrom: float
    allowed_angstrom: float

    def describe(self, atoms: Atoms) -> str:
        """Return the pair in words, with atom numbers from 0."""
        symbols = atoms.get_chemical_symbols()
        return (
            f"atoms {self.first} ({symbols[self.first]}) and {self.second} ({symbols[self.second]}) "
            f"are {self.distance_angstrom:.2f} Å apart, less than {self.allowed_angstrom:.2f} Å"
        )


def closest_overlap(atoms: Atoms, min_distance_factor: float) -> Overlap | None:
    """Return the pair that is closest, measured by its covalent radii, if it is too close; periodic images count.

    Parameters
    ----------
    atoms
        The frame.
    min_distance_factor
        Smallest distance allowed, in units of the sum of the two covalent radii.
    """
    radii = covalent_radii[atoms.numbers] * min_distance_factor
    first, second, distances = neighbor_list("ijd", atoms, radii)
    if not len(distances):
        return None
    allowed = radii[first] + radii[second]
    worst = int(np.argmin(distances / allowed))
    return Overlap(int(first[worst]), int(second[worst]), float(distances[worst]), float(allowed[worst]))


def geometry_fault(atoms: Atoms, min_distance_factor: float, start_volume: float | None = None) -> str | None:
    """Say in words what is wrong with a frame, None if nothing is.

    Parameters
    ----------
    atoms
        The frame.
    min_distance_factor
        Smallest distance allowed, in units of the sum of the two covalent radii.
    start_volume
        Volume at the start of MD, in Å³, if it should be compared with.
    """
    if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all()):
        return "positions or cell are not numbers"
    if atoms.pbc.any():
        volume = abs(atoms.cell.volume)
        if volume < 1e-3:
            return "the cell has no volume"
        lengths_of_reciprocal = np.linalg.norm(atoms.cell.reciprocal().array, axis=1)
        if (1 / lengths_of_reciprocal).min() < SMALLEST_CELL_HEIGHT_ANGSTROM:
            return f"the cell is thinner than {SMALLEST_CELL_HEIGHT_ANGSTROM:g} Å"
        if start_volume and not 1 / VOLUME_CHANGE_FACTOR < volume / start_volume < VOLUME_CHANGE_FACTOR:
            return f"the volume went from {start_volume:.0f} to {volume:.0f} Å³"
    overlap = closest_overlap(atoms, min_distance_factor)
    return None if overlap is None else overlap.describe(atoms)

"""The two atoms of a frame that are too close: one k-d tree holds all of them and their images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from ase.geometry import complete_cell
from numpy.typing import NDArray
from scipy.spatial import cKDTree


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
    """Return the pair that is closest, measured by its covalent radii, if it is too close.

    Periodic images count, also those of the atom itself. Work and memory are linear in the number of atoms, and no
    Python loop runs over atoms or pairs: MD asks every few steps.

    Parameters
    ----------
    atoms
        With finite positions; the cell of periodic axes must span a volume.
    min_distance_factor
        Smallest distance allowed, in units of the sum of the two covalent radii.
    """
    if not len(atoms):
        return None
    radii = min_distance_factor * covalent_radii[atoms.numbers]
    reach = 2.0 * float(radii.max())
    atom, places = _with_images(atoms, reach)
    pairs = cKDTree(places, balanced_tree=False, compact_nodes=False).query_pairs(reach, output_type="ndarray")
    # atoms come before images, and a pair of two images is a pair with an atom somewhere else
    left, right = pairs[pairs.min(axis=1) < len(atoms)].T
    distances = np.linalg.norm(places[left] - places[right], axis=1)
    first, second = np.sort([atom[left], atom[right]], axis=0)
    allowed = radii[first] + radii[second]
    ratios = distances / allowed
    worst = next(iter(np.lexsort((second, first, ratios))), None)
    if worst is None or distances[worst] >= allowed[worst]:
        return None
    return Overlap(int(first[worst]), int(second[worst]), float(distances[worst]), float(allowed[worst]))


def completed_cell(atoms: Atoms) -> NDArray[np.float64]:
    """Return the cell, (3, 3), in Å; edges along which the frame has no periods are made orthogonal, 1 Å long."""
    if atoms.pbc.all():
        return np.array(atoms.cell.array)
    return np.array(complete_cell(np.where(atoms.pbc[:, None], atoms.cell.array, 0.0)))


def _with_images(atoms: Atoms, reach: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return numbers and positions of all atoms, then of those images that lie within `reach` of the cell."""
    cell = completed_cell(atoms)
    inverse = np.linalg.inv(cell)
    margins = reach * np.linalg.norm(inverse, axis=0)
    atom = np.arange(len(atoms))
    fractional = atoms.positions @ inverse
    fractional -= np.where(atoms.pbc, np.floor(fractional), 0.0)
    for axis in np.flatnonzero(atoms.pbc):
        margin = margins[axis]
        farthest = int(np.ceil(margin))
        shifts = np.array(sorted(range(-farthest, farthest + 1), key=abs))
        shifted = fractional[:, axis] + shifts[:, None]
        copy, row = np.nonzero((shifted >= -margin) & (shifted <= 1.0 + margin))
        atom, fractional = atom[row], fractional[row]
        fractional[:, axis] = shifted[copy, row]
    return atom, fractional @ cell

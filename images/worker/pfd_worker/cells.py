"""The cell of a frame: how high it is, what it comes of, and what stands for it where a program knows no other."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

ROOM_ANGSTROM = 20.0
"""Between images where a frame has no periods: more than twice the cutoff of any published deepmd-kit model."""


def cell_heights(atoms: Atoms) -> NDArray[np.float64]:
    """Return the distances between opposite faces of the cell, (3,), in Å; infinite where a cell vector is missing."""
    lengths = np.linalg.norm(atoms.cell.reciprocal().array, axis=1)
    heights: NDArray[np.float64] = np.divide(1.0, lengths, out=np.full(3, np.inf), where=lengths > 0)
    return heights


def reference_cell(atoms: Atoms) -> NDArray[np.float64]:
    """Return the cell, (3, 3), in Å, of the unperturbed structure that a frame descends from; its own if it says none.

    A mesh of k-points is chosen by it: one that changed with the cell would make steps in energy and virial.
    """
    return np.array(atoms.info.get("reference_cell", atoms.cell.array), dtype=float).reshape(3, 3)


def periodic_cell(atoms: Atoms) -> NDArray[np.float64]:
    """Return the cell, (3, 3), in Å, in which a program that knows no periods but all three computes a frame.

    deepmd-kit's models are such. Vectors along which the frame has no periods are put at right angles to the others,
    and made so long that no atom sees the next image.
    """
    cell: NDArray[np.float64] = atoms.cell.complete().array.copy()
    for axis in np.flatnonzero(~atoms.pbc):
        normal = np.cross(cell[axis - 2], cell[axis - 1])
        normal /= np.linalg.norm(normal)
        cell[axis] = normal * max(cell[axis] @ normal, np.ptp(atoms.positions @ normal) + ROOM_ANGSTROM)
    return cell

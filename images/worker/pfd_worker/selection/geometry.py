"""Frames no reference calculation should be wasted on: overlapping atoms, broken cells."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from pfd_worker.selection.overlaps import closest_overlap, completed_cell

SMALLEST_VOLUME = 1e-3
SMALLEST_HEIGHT_ANGSTROM = 1.0
"""Of the distances of opposite faces of a cell."""
SMALLEST_HEIGHT_OVER_EDGE = 0.2
"""Sine of the angle between an edge and the opposite face: 1 is a right angle. Rhombohedral cells of layered crystals
(Bi2Te3: 0.36) pass."""
LARGEST_EDGE_RATIO = 20.0
"""Longest edge over the shortest. PFD-kit's 5 drops slabs with vacuum and long supercells."""
EDGE_RATIO_GROWTH = 1.5
"""A start may be longer than that; MD may make it longer yet by this factor."""
SMALLEST_OF_START = 0.25
"""MD whose cell shrank by more has collapsed: at tens of GPa, soft metals and molecular crystals lose half of it."""
LARGEST_OF_START = 2.0
"""MD whose cell grew by more has evaporated."""


def geometry_fault(atoms: Atoms, min_distance_factor: float, start: Atoms | None = None) -> str | None:
    """Say in words what is wrong with a frame, None if nothing is.

    Parameters
    ----------
    atoms
        Of any size and elements; only axes that are periodic have a length and a height.
    min_distance_factor
        Smallest distance allowed, in units of the sum of the two covalent radii.
    start
        Where its MD began, if its cell should be compared with that one's.
    """
    if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all()):
        return "positions or cell are not numbers"
    fault = _cell_fault(atoms, start) if atoms.pbc.any() else None
    if fault is not None:
        return fault
    overlap = closest_overlap(atoms, min_distance_factor)
    return None if overlap is None else overlap.describe(atoms)


def _cell_fault(atoms: Atoms, start: Atoms | None) -> str | None:
    cell = completed_cell(atoms)
    if abs(np.linalg.det(cell)) < SMALLEST_VOLUME:
        return "the cell has no volume"
    heights = 1.0 / np.linalg.norm(np.linalg.inv(cell), axis=0)[atoms.pbc]
    if heights.min() < SMALLEST_HEIGHT_ANGSTROM:
        return f"the cell is thinner than {SMALLEST_HEIGHT_ANGSTROM:g} Å"
    edges = np.linalg.norm(cell, axis=1)[atoms.pbc]
    steepness = (heights / edges).min()
    if steepness < SMALLEST_HEIGHT_OVER_EDGE:
        return f"the cell is skewed: an edge stands at {np.degrees(np.arcsin(steepness)):.0f}° on the opposite face"
    ratio = _edge_ratio(edges)
    if ratio > LARGEST_EDGE_RATIO and (
        start is None or ratio > EDGE_RATIO_GROWTH * _edge_ratio(start.cell.lengths()[start.pbc])
    ):
        return f"an edge of the cell is {ratio:.0f} times as long as another"
    before, now = 0.0 if start is None else abs(start.cell.volume), abs(atoms.cell.volume)
    if before and not SMALLEST_OF_START < now / before < LARGEST_OF_START:
        return (
            f"the volume went from {before:.0f} to {now:.0f} Å³; if the pressure asks for that, give a structure of "
            "about this volume"
        )
    return None


def _edge_ratio(edges: NDArray[np.float64]) -> float:
    """Return the longest over the shortest."""
    return float(edges.max() / edges.min())

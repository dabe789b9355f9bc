"""Atoms that are too close, found in a whole shard of frames at once: one k-d tree holds all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from ase.geometry import complete_cell
from numpy.typing import NDArray
from scipy.spatial import cKDTree

ATOMS_AT_A_TIME = 100_000
"""Bounds the memory of a search (some 50 MB), whatever the size of the shard."""


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


@dataclass
class _Points:
    """Atoms and the images of them that can be within reach of an atom, of several frames."""

    atom: NDArray[np.int64]
    frame: NDArray[np.int64]
    fractional: NDArray[np.float64]
    real: NDArray[np.bool_]

    def copies(self, chosen: NDArray[np.bool_], axis: int, shift: int) -> _Points:
        """Return images of the chosen points, `shift` cells along an axis."""
        fractional = self.fractional[chosen]
        fractional[:, axis] += shift
        none_real = np.zeros(len(fractional), dtype=bool)
        return _Points(self.atom[chosen], self.frame[chosen], fractional, none_real)


def closest_overlaps(frames: Sequence[Atoms], min_distance_factor: float) -> list[Overlap | None]:
    """Return for each frame the pair that is closest, measured by its covalent radii, if it is too close.

    Periodic images count, also those of the atom itself. Work and memory are linear in the number of atoms: the frames
    of a batch lie apart along a fourth axis of one k-d tree, so that no Python loop runs over atoms or pairs.

    Parameters
    ----------
    frames
        With finite positions; cells of periodic axes must span a volume.
    min_distance_factor
        Smallest distance allowed, in units of the sum of the two covalent radii.
    """
    result: list[Overlap | None] = []
    for batch in _batches(frames):
        result += _search(batch, min_distance_factor)
    return result


def closest_overlap(atoms: Atoms, min_distance_factor: float) -> Overlap | None:
    """Return the closest pair of one frame if it is too close: see `closest_overlaps`."""
    return closest_overlaps([atoms], min_distance_factor)[0]


def periodic_cells(frames: Sequence[Atoms]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return cells (n, 3, 3) in Å and which axes are periodic (n, 3); other edges are made orthogonal, 1 Å long."""
    periodic = np.array([atoms.pbc for atoms in frames], dtype=bool).reshape(-1, 3)
    cells = np.array([atoms.cell.array for atoms in frames]).reshape(-1, 3, 3)
    for number in np.flatnonzero(~periodic.all(axis=1)):
        cells[number] = complete_cell(np.where(periodic[number][:, None], cells[number], 0.0))
    return cells, periodic


def _batches(frames: Sequence[Atoms]) -> Iterator[Sequence[Atoms]]:
    begin = size = 0
    for number, atoms in enumerate(frames):
        if size and size + len(atoms) > ATOMS_AT_A_TIME:
            yield frames[begin:number]
            begin, size = number, 0
        size += len(atoms)
    if begin < len(frames):
        yield frames[begin:]


def _search(frames: Sequence[Atoms], min_distance_factor: float) -> list[Overlap | None]:
    sizes = np.array([len(atoms) for atoms in frames])
    result: list[Overlap | None] = [None] * len(frames)
    if not sizes.sum():
        return result
    first_atom = np.cumsum(sizes) - sizes
    radii = min_distance_factor * covalent_radii[np.concatenate([atoms.numbers for atoms in frames])]
    reach = 2.0 * float(radii.max())
    points, cells = _with_images(frames, sizes, reach)
    cartesian = np.einsum("pi,pij->pj", points.fractional, cells[points.frame])
    # frames are two reaches apart along the fourth axis, so no pair joins two of them
    tree = cKDTree(np.column_stack([cartesian, 2.0 * reach * points.frame]), balanced_tree=False, compact_nodes=False)
    pairs = tree.query_pairs(reach, output_type="ndarray")
    left, right = pairs[points.real[pairs].any(axis=1)].T
    distances = np.linalg.norm(cartesian[left] - cartesian[right], axis=1)
    allowed = radii[points.atom[left]] + radii[points.atom[right]]
    close = distances < allowed
    left, right, distances, allowed = left[close], right[close], distances[close], allowed[close]
    ends = np.sort(np.column_stack([points.atom[left], points.atom[right]]), axis=1)
    frame = points.frame[left]
    order = np.lexsort((ends[:, 1], ends[:, 0], distances / allowed, frame))
    hit, worst = np.unique(frame[order], return_index=True)
    for number, row in zip(hit, order[worst], strict=True):
        first, second = (int(end) for end in ends[row] - first_atom[number])
        result[number] = Overlap(first, second, float(distances[row]), float(allowed[row]))
    return result


def _with_images(
    frames: Sequence[Atoms], sizes: NDArray[np.int64], reach: float
) -> tuple[_Points, NDArray[np.float64]]:
    """Return all atoms with the images that lie within `reach` of their cell, and the cells."""
    cells, periodic = periodic_cells(frames)
    inverse = np.linalg.inv(cells)
    reach_fractional = reach * np.linalg.norm(inverse, axis=1)
    frame = np.repeat(np.arange(len(frames)), sizes)
    positions = np.concatenate([atoms.positions for atoms in frames])
    fractional = np.einsum("pi,pij->pj", positions, inverse[frame])
    fractional -= np.where(periodic[frame], np.floor(fractional), 0.0)
    points = _Points(np.arange(len(frame)), frame, fractional, np.ones(len(frame), dtype=bool))
    for axis in range(3):
        margin = np.where(periodic[:, axis], reach_fractional[:, axis], -np.inf)
        furthest = int(np.ceil(margin.max())) if periodic[:, axis].any() else 0
        parts = [points]
        for shift in (s for s in range(-furthest, furthest + 1) if s):
            place = points.fractional[:, axis] + shift
            room = margin[points.frame]
            parts.append(points.copies((place >= -room) & (place <= 1.0 + room), axis, shift))
        points = _Points(
            *(
                np.concatenate([getattr(part, name) for part in parts])
                for name in ("atom", "frame", "fractional", "real")
            )
        )
    return points, cells

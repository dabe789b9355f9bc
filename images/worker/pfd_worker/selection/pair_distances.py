"""Distances of neighbours, bonded or not, by the elements of the two."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from ase.neighborlist import neighbor_list
from numpy.typing import NDArray

REACH_ANGSTROM = 5.0
"""Beyond the nearest neighbours of any two elements (Cs-Cs of CsCl: 4.1 Å)."""
_ABOVE_ALL_NUMBERS = 128


@dataclass(frozen=True)
class PairDistances:
    """Pairs of atoms within reach, each once; an atom and its own image are none."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    distance: NDArray[np.float64]
    """In Å."""
    vector: NDArray[np.float64]
    """From the first to the second, (n, 3), in Å."""
    elements: NDArray[np.int64]
    """A number for each pair of elements: see `named`."""

    @classmethod
    def of(cls, atoms: Atoms) -> PairDistances:
        """Return those of a frame."""
        first, second, distance, vector = neighbor_list("ijdD", atoms, REACH_ANGSTROM)
        once = first < second
        first, second = first[once], second[once]
        low, high = np.sort([atoms.numbers[first], atoms.numbers[second]], axis=0)
        return cls(first, second, distance[once], vector[once], low * _ABOVE_ALL_NUMBERS + high)

    def shortest(self) -> dict[int, float]:
        """Return the shortest distance of each pair of elements, in Å."""
        return {int(pair): float(self.distance[self.elements == pair].min()) for pair in np.unique(self.elements)}


def shortest_distances(frames: Iterable[Atoms]) -> dict[int, float]:
    """Return the shortest distance in all frames of each pair of elements within reach, in Å."""
    found: dict[int, float] = {}
    for atoms in frames:
        for elements, distance in PairDistances.of(atoms).shortest().items():
            found[elements] = min(distance, found.get(elements, distance))
    return found


def numbers_of(elements: int) -> tuple[int, int]:
    """Return the atomic numbers of a pair of elements."""
    return divmod(elements, _ABOVE_ALL_NUMBERS)


def named(elements: int) -> str:
    """Return a pair of elements in words, such as O-H."""
    return "-".join(sorted(chemical_symbols[number] for number in numbers_of(elements)))

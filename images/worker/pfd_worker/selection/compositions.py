"""Compositions, and which of them fix the zero of energy of all others."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from ase import Atoms
from scipy.linalg import qr

Composition = tuple[tuple[int, int], ...]
"""Atomic numbers, and how many atoms of each there are in the smallest formula unit."""


def composition_of(atoms: Atoms) -> Composition:
    """Return the composition of a frame."""
    numbers, counts = np.unique(atoms.numbers, return_counts=True)
    return tuple(zip(numbers.tolist(), (counts // np.gcd.reduce(counts)).tolist(), strict=True))


def independent(given: Iterable[Composition]) -> set[Composition]:
    """Return compositions, none of them a mixture of the others, that all are mixtures of."""
    compositions = sorted(set(given))
    elements = sorted({number for composition in compositions for number, _ in composition})
    fractions = np.zeros((len(elements), len(compositions)))
    for column, composition in enumerate(compositions):
        for number, count in composition:
            fractions[elements.index(number), column] = count
    fractions /= fractions.sum(axis=0)
    triangle, columns = qr(fractions, mode="r", pivoting=True)
    sizes = np.abs(np.diag(triangle))
    return {compositions[column] for column in columns[: int(np.sum(sizes > 1e-8 * sizes.max()))]}

"""A sample of labelled frames that stands for all of them where only a scale, or a zero of energy, is asked for."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence

import numpy as np
from ase import Atoms
from scipy.linalg import qr

MOST_FRAMES = 500
"""Of one source. The shift of an element from so many is known to a twentieth of one frame's error."""

Composition = tuple[tuple[int, int], ...]


def spread_over_compositions(frames: Sequence[Atoms], most: int, seed: int) -> list[int]:
    """Return the rows of at most so many frames, drawn at random: of each composition as many, as long as it has some.

    Those that come first are compositions that all others are mixtures of, so that a shift of the energy that is fitted
    to the sample holds for all frames, also where compositions are more than `most`.

    Parameters
    ----------
    frames
        Of one source.
    most
        Not fewer than there are elements.
    seed
        Decides which.
    """
    if len(frames) <= most:
        return list(range(len(frames)))
    compositions = [_composition(atoms) for atoms in frames]
    needed = _independent(sorted(set(compositions)))
    turns: Counter[Composition] = Counter()
    places: list[tuple[tuple[int, bool, int], int]] = []
    for row in map(int, np.random.default_rng(seed).permutation(len(frames))):
        composition = compositions[row]
        places.append(((turns[composition], composition not in needed, len(places)), row))
        turns[composition] += 1
    return sorted(row for _, row in itertools.islice(sorted(places), most))


def _composition(atoms: Atoms) -> Composition:
    """Return atomic numbers and how many atoms of each there are in the smallest formula unit."""
    numbers, counts = np.unique(atoms.numbers, return_counts=True)
    return tuple(zip(numbers.tolist(), (counts // np.gcd.reduce(counts)).tolist(), strict=True))


def _independent(compositions: Sequence[Composition]) -> set[Composition]:
    """Return compositions, none of them a mixture of the others, that all are mixtures of."""
    elements = sorted({number for composition in compositions for number, _ in composition})
    fractions = np.zeros((len(elements), len(compositions)))
    for column, composition in enumerate(compositions):
        for number, count in composition:
            fractions[elements.index(number), column] = count
    fractions /= fractions.sum(axis=0)
    triangle, columns = qr(fractions, mode="r", pivoting=True)
    sizes = np.abs(np.diag(triangle))
    return {compositions[column] for column in columns[: int(np.sum(sizes > 1e-8 * sizes.max()))]}

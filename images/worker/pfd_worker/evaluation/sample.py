"""A sample of labelled frames that stands for all of them where only a scale, or a zero of energy, is asked for."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence

import numpy as np
from ase import Atoms

from pfd_worker.selection.compositions import Composition, composition_of, independent

MOST_FRAMES = 500
"""Of one source. The shift of an element from so many is known to a twentieth of one frame's error."""


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
    compositions = [composition_of(atoms) for atoms in frames]
    needed = independent(compositions)
    turns: Counter[Composition] = Counter()
    places: list[tuple[tuple[int, bool, int], int]] = []
    for row in map(int, np.random.default_rng(seed).permutation(len(frames))):
        composition = compositions[row]
        places.append(((turns[composition], composition not in needed, len(places)), row))
        turns[composition] += 1
    return sorted(row for _, row in itertools.islice(sorted(places), most))

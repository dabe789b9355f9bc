"""Close contacts: frames in which two atoms were pushed together, so that a model learns what repels them.

MD at moderate temperatures never shows short distances. A model that has not seen them may attract there, and a hot
trajectory that reaches them falls into a hole. The other remedy, blending with ZBL's potential (deepmd-kit's manual,
"Interpolation or combination with additional pairwise potentials"), makes a model that cannot be compressed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from numpy.typing import NDArray

from pfd_worker.selection.overlaps import closest_overlap
from pfd_worker.selection.pair_distances import PairDistances, shortest_distances

SHELL_FACTOR = 1.25
"""Pairs up to this times the shortest distance of their elements are pushed together: nearest neighbours."""
FARTHEST_FACTOR = 0.95
CLOSEST_FACTOR = 0.75
"""Distances asked for, in shortest distances of the frames: O-O of water, which no bond holds, at 2.4 to 1.9 Å."""
CLOSEST_BOND_FACTOR = 0.85
"""But no closer than this times the sum of covalent radii (Si-Si 1.9 Å). Nearer, teachers guess, and forces of tens of
eV/Å outweigh all others in the loss."""
_TRIES = 8


def close_contacts(frames: Sequence[Atoms], count: int, min_distance_factor: float, seed: int) -> list[Atoms]:
    """Return frames with one pair of atoms pushed together; all pairs of elements have an equal share, bonded or not.

    Parameters
    ----------
    frames
        What they are made of, in turn, in seeded order; left as they are.
    count
        How many; fewer if frames have no neighbours, or no room to push them together.
    min_distance_factor
        No other pair may come closer than this times the sum of its covalent radii.
    seed
        Of the pairs and distances.

    Returns
    -------
    list of Atoms
        Copies, with their info.
    """
    if not count:
        return []
    rng = np.random.default_rng(seed)
    shortest = shortest_distances(frames)
    tried: Counter[int] = Counter()
    made: list[Atoms] = []
    for _ in range(_TRIES):
        for number in rng.permutation(len(frames)):
            if len(made) == count:
                return made
            pairs = PairDistances.of(frames[int(number)])
            here = np.unique(pairs.elements)
            if not len(here):
                continue
            elements = int(min(rng.permutation(here), key=tried.__getitem__))
            tried[elements] += 1
            near = np.flatnonzero((pairs.elements == elements) & (pairs.distance <= SHELL_FACTOR * shortest[elements]))
            squeezed = _squeezed(frames[int(number)], pairs, near, shortest[elements], min_distance_factor, rng)
            if squeezed is not None:
                made.append(squeezed)
    return made


def _squeezed(
    atoms: Atoms,
    pairs: PairDistances,
    near: NDArray[np.int64],
    shortest: float,
    min_distance_factor: float,
    rng: np.random.Generator,
) -> Atoms | None:
    """Push one pair together, each atom by half of the way; None if that brings another pair too close."""
    if not len(near):
        return None
    pair = rng.choice(near)
    i, j = pairs.first[pair], pairs.second[pair]
    bond = covalent_radii[atoms.numbers[i]] + covalent_radii[atoms.numbers[j]]
    least = max(CLOSEST_FACTOR * shortest, CLOSEST_BOND_FACTOR * bond, min_distance_factor * bond)
    target = rng.uniform(least, max(FARTHEST_FACTOR * shortest, least))
    if target >= pairs.distance[pair]:
        return None
    step = 0.5 * (1 - target / pairs.distance[pair]) * pairs.vector[pair]
    pushed = atoms.copy()
    pushed.positions[i] += step
    pushed.positions[j] -= step
    # its own pair may be at the limit to the last bit
    return pushed if closest_overlap(pushed, (1 - 1e-9) * min_distance_factor) is None else None

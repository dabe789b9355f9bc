"""Close contacts: frames in which two atoms were pushed together, so that a model learns what repels them.

MD at moderate temperatures never shows short distances. A model that has not seen them may attract there, and a hot
trajectory that reaches them falls into a hole. The other remedy, blending with ZBL's potential (deepmd-kit's manual,
"Interpolation or combination with additional pairwise potentials"), makes a model that cannot be compressed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from ase.neighborlist import neighbor_list

from pfd_worker.selection.overlaps import closest_overlap

REACH_FACTOR = 1.6
"""Pairs up to this times the sum of their covalent radii are pushed together."""
FARTHEST_FACTOR = 0.95
CLOSEST_FACTOR = 0.85
"""Distances asked for, in sums of covalent radii: for Si-Si 2.1 to 1.9 Å. Nearer, teachers guess, and forces of
tens of eV/Å outweigh all others in the loss."""
_TRIES = 8


def close_contacts(frames: Sequence[Atoms], count: int, min_distance_factor: float, seed: int) -> list[Atoms]:
    """Return frames with one pair of atoms pushed together.

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
    rng = np.random.default_rng(seed)
    made: list[Atoms] = []
    for _ in range(_TRIES):
        for number in rng.permutation(len(frames)):
            if len(made) == count:
                return made
            squeezed = _squeezed(frames[int(number)], min_distance_factor, rng)
            if squeezed is not None:
                made.append(squeezed)
    return made


def _squeezed(atoms: Atoms, min_distance_factor: float, rng: np.random.Generator) -> Atoms | None:
    """Push one pair together, each atom by half of the way; None if that brings another pair too close."""
    reach = {number: REACH_FACTOR * covalent_radii[number] for number in set(atoms.numbers)}
    first, second, distance, vector = neighbor_list("ijdD", atoms, [reach[number] for number in atoms.numbers])
    # an atom cannot be pushed towards its own image
    pairs = np.flatnonzero(first < second)
    if not len(pairs):
        return None
    pair = rng.choice(pairs)
    i, j = first[pair], second[pair]
    factor = rng.uniform(max(CLOSEST_FACTOR, min_distance_factor), max(FARTHEST_FACTOR, min_distance_factor))
    target = factor * (covalent_radii[atoms.numbers[i]] + covalent_radii[atoms.numbers[j]])
    if target >= distance[pair]:
        return None
    step = 0.5 * (1 - target / distance[pair]) * vector[pair]
    pushed = atoms.copy()
    pushed.positions[i] += step
    pushed.positions[j] -= step
    # its own pair may be at the limit to the last bit
    return pushed if closest_overlap(pushed, (1 - 1e-9) * min_distance_factor) is None else None

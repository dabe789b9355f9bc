"""Close contacts: frames in which two atoms were pushed together, so that a model learns what repels them.

MD at moderate temperatures never shows short distances. A model that has not seen them may attract there, and a hot
trajectory that reaches them falls into a hole. The other remedy, blending with ZBL's potential (deepmd-kit's manual,
"Interpolation or combination with additional pairwise potentials"), makes a model that cannot be compressed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.data import covalent_radii

from pfd_worker.selection.overlaps import closest_overlap
from pfd_worker.selection.pair_distances import PairDistances, numbers_of, shortest_distances

SHELL_FACTOR = 1.25
"""Pairs up to this times the shortest distance of their elements are pushed together: nearest neighbours."""
FARTHEST_FACTOR = 0.95
CLOSEST_FACTOR = 0.75
"""Distances asked for, in shortest distances of the frames: O-O of water, which no bond holds, at 2.4 to 1.9 Å."""
CLOSEST_BOND_FACTOR = 0.85
"""But no closer than this times the sum of covalent radii (Si-Si 1.9 Å). Nearer, teachers guess, and forces of tens of
eV/Å outweigh all others in the loss."""
_TRIES = 8


@dataclass(frozen=True)
class _Range:
    """Of two elements in one system, in Å."""

    reach: float
    """Up to here, pairs are nearest neighbours."""
    closest: float
    farthest: float
    """What they are pushed to."""


def close_contacts(frames: Sequence[Atoms], count: int, min_distance_factor: float, seed: int) -> list[Atoms]:
    """Return frames with one pair of atoms pushed together; all pairs of elements have an equal share, bonded or not.

    Parameters
    ----------
    frames
        What they are made of, in turn, in seeded order; left as they are. Those on the brink are passed over: what
        comes close there is no distance of sound MD.
    count
        How many; fewer if frames have no neighbours, no room to push them together, or pairs that come closer by
        themselves than they would be pushed.
    min_distance_factor
        No other pair may come closer than this times the sum of its covalent radii.
    seed
        Of the pairs and distances.

    Returns
    -------
    list of Atoms
        Copies, with their info.
    """
    sound = [atoms for atoms in frames if not atoms.info["brink"]] if count else []
    systems = sorted({str(atoms.info["system"]) for atoms in sound})
    ranges = {
        system: _ranges([atoms for atoms in sound if atoms.info["system"] == system], min_distance_factor)
        for system in systems
    }
    rng = np.random.default_rng(seed)
    tried: Counter[int] = Counter()
    made: list[Atoms] = []
    for _ in range(_TRIES):
        for number in rng.permutation(len(sound)):
            if len(made) == count:
                return made
            atoms = sound[int(number)]
            asked, pairs = ranges[str(atoms.info["system"])], PairDistances.of(atoms)
            near = {
                elements: rows
                for elements, each in asked.items()
                if len(rows := np.flatnonzero((pairs.elements == elements) & (pairs.distance <= each.reach)))
            }
            if not near:
                continue
            elements = int(min(rng.permutation(list(near)), key=tried.__getitem__))
            tried[elements] += 1
            target = rng.uniform(asked[elements].closest, asked[elements].farthest)
            pushed = _pushed(atoms, pairs, int(rng.choice(near[elements])), target)
            # its own pair may be at the limit to the last bit
            if closest_overlap(pushed, (1 - 1e-9) * min_distance_factor) is None:
                made.append(pushed)
    return made


def _ranges(frames: Sequence[Atoms], min_distance_factor: float) -> dict[int, _Range]:
    """Return to which distances the pairs of elements of one system are pushed, where that is closer than they come."""
    ranges = {}
    for elements, shortest in shortest_distances(frames).items():
        bond = sum(covalent_radii[number] for number in numbers_of(elements))
        closest = max(CLOSEST_FACTOR * shortest, CLOSEST_BOND_FACTOR * bond, min_distance_factor * bond)
        if closest < shortest:
            ranges[elements] = _Range(SHELL_FACTOR * shortest, closest, max(closest, FARTHEST_FACTOR * shortest))
    return ranges


def _pushed(atoms: Atoms, pairs: PairDistances, pair: int, target: float) -> Atoms:
    """Return a copy with a pair at a distance, each atom moved by half of the way."""
    step = 0.5 * (1 - target / pairs.distance[pair]) * pairs.vector[pair]
    pushed = atoms.copy()
    pushed.positions[pairs.first[pair]] += step
    pushed.positions[pairs.second[pair]] -= step
    return pushed

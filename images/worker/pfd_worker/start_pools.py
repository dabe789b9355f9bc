"""Which start structures the hold-out has for its own, and in which order trajectories begin at the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from operator import itemgetter

import numpy as np
from ase import Atoms

from pfd_operator.contract.selection import Apart
from pfd_worker.selection.quotas import middles

HOLDOUT_START_FRACTION = 0.25
FEWEST_STRUCTURES = 4
"""Of a system of which whole structures are kept for the hold-out."""


def by_system(starts: Sequence[Atoms]) -> dict[str, list[Atoms]]:
    """Return the starts of each system, systems in the order in which they come."""
    found: dict[str, list[Atoms]] = {}
    for atoms in starts:
        found.setdefault(str(atoms.info["system"]), []).append(atoms)
    return found


def holdout_starts(starts: list[Atoms], apart: Apart) -> list[Atoms]:
    """Return the starts of one system that are kept for hold-out trajectories.

    Parameters
    ----------
    starts
        Of one system.
    apart
        Structures: all variations of some structures, where there are `FEWEST_STRUCTURES`. Otherwise the last
        variations of each; all starts, if there is one variation of each only: then the seeds alone keep the
        trajectories apart.
    """
    kept = [atoms for atoms, is_kept in zip(starts, _kept(starts, apart), strict=True) if is_kept]
    return kept or starts


def training_starts(starts: list[Atoms], apart: Apart) -> list[Atoms]:
    """Return the starts of AIMD and of exploration for training: those not kept for the hold-out."""
    return [atoms for atoms, is_kept in zip(starts, _kept(starts, apart), strict=True) if not is_kept]


def training_structures(starts: Sequence[Atoms], apart: Apart) -> int:
    """Return at how many structures, of all systems, trajectories for training may begin."""
    return sum(
        len({int(atoms.info["frame"]) for atoms in training_starts(mine, apart)}) for mine in by_system(starts).values()
    )


def structures_in_turn(starts: Sequence[Atoms], seed: int) -> list[Atoms]:
    """Return starts in a seeded order: every structure comes once before any comes again as another variation."""
    order = np.random.default_rng(seed).permutation(len(starts))
    times: Counter[int] = Counter()
    turns = []
    for row in map(int, order):
        structure = int(starts[row].info["frame"])
        turns.append((times[structure], starts[row]))
        times[structure] += 1
    return [atoms for _, atoms in sorted(turns, key=itemgetter(0))]


def _kept(starts: list[Atoms], apart: Apart) -> list[bool]:
    """Return of each start of a system whether it is kept for the hold-out."""
    structures = sorted({int(atoms.info["frame"]) for atoms in starts}) if apart is Apart.STRUCTURES else []
    if len(structures) >= FEWEST_STRUCTURES:
        # by their places in the file: files are often sorted, and systems of one file must keep the same ones
        chosen = set(middles(structures, round(len(structures) * HOLDOUT_START_FRACTION)))
        return [int(atoms.info["frame"]) in chosen for atoms in starts]
    variations = [int(atoms.info.get("variation", 0)) for atoms in starts]
    count = 1 + max(variations, default=0)
    first = count - max(1, int(count * HOLDOUT_START_FRACTION)) if count > 1 else count
    return [variation >= first for variation in variations]

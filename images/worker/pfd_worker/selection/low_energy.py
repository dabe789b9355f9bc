"""Frames of low energy: what matter is like most of the time, and what errors of relative energies are counted from."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from pfd_worker.selection.novelty import Novelty, duplicate_score
from pfd_worker.selection.quotas import fair_quotas
from pfd_worker.selection.representative import Candidate


def select_low_energy(
    novelty: Novelty, candidates: Sequence[Candidate], rows: Collection[int], count: int, seed: int
) -> list[int]:
    """Choose frames with the lowest energy per atom of each composition of each system.

    Energies of one composition can be compared at all temperatures; those of two cannot. The lowest ones of a
    trajectory follow one another, so near-duplicates, of the training set or of what was taken, are passed over.

    Parameters
    ----------
    novelty
        Of the candidates; what is chosen is taken.
    candidates
        Where each comes from. Those that are not typical are never chosen: a model that fails gives energies that are
        far too low, and MD that begins has not its own yet. Nor are those whose energy is not known.
    rows
        The candidates to choose from.
    count
        The most to choose: fewer, where all others are near-duplicates.
    seed
        Decides which compositions get odd shares.

    Returns
    -------
    list of int
        Rows of `candidates`, the lowest of each composition first.
    """
    groups: dict[str, list[tuple[float, int]]] = {}
    for row in sorted(rows):
        candidate = candidates[row]
        if candidate.energy_per_atom is not None and candidate.typical:
            groups.setdefault(candidate.composition, []).append((candidate.energy_per_atom, row))
    chosen: list[int] = []
    duplicate, scores = duplicate_score(novelty), novelty.scores
    for name, quota in fair_quotas({name: len(group) for name, group in groups.items()}, count, seed).items():
        left = quota
        for _, row in sorted(groups[name]):
            if left and scores[row] > duplicate:
                novelty.take(row)
                scores = novelty.scores
                chosen.append(row)
                left -= 1
    return chosen

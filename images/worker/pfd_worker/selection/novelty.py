"""Which candidates are new: a measure of novelty against the training set, and the search that fills quotas by it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pfd_worker.selection.quotas import fair_quotas
from pfd_worker.selection.training_set import FEWEST_TRAJECTORIES, TrainingSet

DUPLICATE_QUANTILE = 0.1
"""A candidate less novel than this part of the training set is to its other trajectories is a near-duplicate."""
NOVEL_QUANTILE = 0.9
"""A candidate more novel than this part of the training set is to its other trajectories is new. Were the MD's frames
and those of the training set drawn in the same way, a tenth of the candidates would be."""


class Novelty(Protocol):
    """How new each candidate is to the training set and to the candidates taken so far."""

    training: TrainingSet
    own: NDArray[np.float64]
    """(m,) scores that its frames would have if none of their trajectory were in it."""

    @property
    def scores(self) -> NDArray[np.float64]:
        """(n,), the larger the newer; infinite where there is nothing to compare with."""
        ...

    def take(self, row: int) -> None:
        """Count this candidate to the training set from now on."""
        ...


def duplicate_score(novelty: Novelty) -> float:
    """Return the score up to which a candidate is a near-duplicate of the training set.

    A quantile of the training set's own scores has no unit to tune and follows the descriptors of the model at hand.
    """
    return _own_quantile(novelty, DUPLICATE_QUANTILE, fewest=2) or 0.0


def count_novel(novelty: Novelty) -> int | None:
    """Return how many candidates are new to the training set; None if that has too few trajectories to tell."""
    limit = _own_quantile(novelty, NOVEL_QUANTILE, FEWEST_TRAJECTORIES)
    return None if limit is None else int(np.sum(novelty.scores > limit))


def _own_quantile(novelty: Novelty, fraction: float, fewest: int) -> float | None:
    """Return the score that this part of the training set's own ones is below; None if it has fewer trajectories.

    Every trajectory counts alike, however many of its frames are labelled, and so does the next one: the same part of
    its frames is expected below (Dunn, Wasserman and Ramdas, J. Am. Stat. Assoc. 118, 2491 (2023), pooled).
    """
    counted = novelty.training.comparable
    _, trajectory, frames = np.unique(novelty.training.trajectories[counted], return_inverse=True, return_counts=True)
    if len(frames) < fewest:
        return None
    own = novelty.own[counted]
    order = np.argsort(own)
    below = np.cumsum(1.0 / frames[trajectory[order]]) / (len(frames) + 1)
    return float(np.interp(fraction, below, own[order]))


def select_novel(novelty: Novelty, strata: Sequence[str], rows: Collection[int], count: int, seed: int) -> list[int]:
    """Choose `count` of some candidates, each the newest given the training set and those taken before it.

    Every stratum fills its share. Near-duplicates of the training set are taken only when nothing else is left, so
    that the number asked for is met.

    Parameters
    ----------
    novelty
        Of the candidates; what is chosen is taken.
    strata
        Stratum of each candidate.
    rows
        The candidates to choose from.
    count
        How many to choose; all of `rows` if there are not as many.
    seed
        Decides who gets odd shares, and the first frame when there is no training set.

    Returns
    -------
    list of int
        Rows of the candidates, in the order chosen; the same for the same arguments.
    """
    names = np.asarray(strata)
    rest = _among(names, rows)
    chosen = _fill(novelty, names, rest & (novelty.scores > duplicate_score(novelty)), count, seed)
    rest[chosen] = False
    return chosen + _fill(novelty, names, rest, count - len(chosen), seed)


def select_distinct(novelty: Novelty, strata: Sequence[str], rows: Collection[int], count: int, seed: int) -> list[int]:
    """Choose at most `count` of some candidates, without near-duplicates of the training set or of one another.

    Parameters and result are those of `select_novel`; fewer are chosen where all others are near-duplicates.
    """
    names = np.asarray(strata)
    rest, least = _among(names, rows), duplicate_score(novelty)
    chosen: list[int] = []
    while len(chosen) < count:
        # a share that a stratum cannot fill is dealt anew over those that can
        more = _fill(novelty, names, rest & (novelty.scores > least), count - len(chosen), seed, least)
        if not more:
            break
        chosen += more
        rest[more] = False
    return chosen


def _among(names: NDArray[np.str_], rows: Collection[int]) -> NDArray[np.bool_]:
    among = np.zeros(len(names), dtype=bool)
    among[list(rows)] = True
    return among


def _fill(
    novelty: Novelty,
    names: NDArray[np.str_],
    allowed: NDArray[np.bool_],
    count: int,
    seed: int,
    least: float = -np.inf,
) -> list[int]:
    """Take the newest of what is allowed and newer than `least` until each stratum has its share."""
    left = fair_quotas(Counter(str(name) for name in names[allowed]), count, seed)
    open_rows = allowed & np.isin(names, [name for name, quota in left.items() if quota])
    chosen: list[int] = []
    while open_rows.any():
        scores = np.where(open_rows, novelty.scores, -1.0)
        if np.isinf(scores.max()):
            row = int(np.random.default_rng(seed).choice(np.flatnonzero(open_rows)))
        else:
            row = int(scores.argmax())
        chosen.append(row)
        novelty.take(row)
        open_rows[row] = False
        name = str(names[row])
        left[name] -= 1
        if not left[name]:
            open_rows &= names != name
        open_rows &= novelty.scores > least
    return chosen

"""Farthest-point selection in feature space: frames that differ from the training set and from one another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from pfd_worker.selection.quotas import fair_quotas

DUPLICATE_QUANTILE = 0.1
NUMBERS_AT_A_TIME = 1_000_000
"""Features or distances: bounds the memory of a search (some 8 MB each), however many candidates there are."""


def distances_to_set(points: NDArray[np.float32], reference: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the distance of every point to the nearest one of a set.

    Parameters
    ----------
    points
        (n, d).
    reference
        (m, d); the distances are infinite if m is 0.
    """
    nearest = np.full(len(points), np.inf)
    if len(reference):
        for rows in _blocks(points, reference):
            nearest[rows] = cdist(points[rows], reference).min(axis=1)
    return nearest


def duplicate_distance(training: NDArray[np.float32]) -> float:
    """Return the distance under which a frame is a near-duplicate of the training set.

    It is a low quantile of the training set's own nearest-neighbour distances, so it has no unit to tune and follows
    the descriptors of the model at hand. A set of fewer than two frames has no such distance: 0.
    """
    if len(training) < 2:
        return 0.0
    own = np.empty(len(training))
    for rows in _blocks(training, training):
        distances = cdist(training[rows], training)
        distances[np.arange(len(distances)), np.arange(rows.start, rows.start + len(distances))] = np.inf
        own[rows] = distances.min(axis=1)
    return float(np.quantile(own, DUPLICATE_QUANTILE))


def _blocks(points: NDArray[np.float32], reference: NDArray[np.float32]) -> Iterator[slice]:
    size = max(1, NUMBERS_AT_A_TIME // max(len(reference), points.shape[1]))
    return (slice(begin, begin + size) for begin in range(0, len(points), size))


def select_farthest(
    features: NDArray[np.float32],
    strata: Sequence[str],
    count: int,
    training: NDArray[np.float32],
    seed: int,
) -> list[int]:
    """Choose `count` candidates, each the farthest from the training set and from those chosen before it.

    Every stratum fills its share. Near-duplicates of the training set are taken only when nothing else is left, so
    that the number asked for is met.

    Parameters
    ----------
    features
        (n, d) of the candidates.
    strata
        Stratum of each candidate.
    count
        How many to choose; all candidates if there are not as many.
    training
        (m, d) of the frames that are labelled already; m may be 0.
    seed
        Decides who gets odd shares, and the first frame when there is no training set.

    Returns
    -------
    list of int
        Rows of `features`, in the order chosen; the same for the same arguments.
    """
    nearest = distances_to_set(features, training)
    fresh = nearest > duplicate_distance(training)
    names = np.asarray(strata)
    quotas = fair_quotas(Counter(str(name) for name in names[fresh]), count, seed)
    chosen = _fill(features, names, quotas, fresh, nearest, seed)
    missing = min(count, len(features)) - len(chosen)
    if missing > 0:
        rest = np.ones(len(features), dtype=bool)
        rest[chosen] = False
        more = fair_quotas(Counter(str(name) for name in names[rest]), missing, seed)
        chosen += _fill(features, names, more, rest, nearest, seed)
    return chosen


def _fill(
    features: NDArray[np.float32],
    names: NDArray[np.str_],
    quotas: dict[str, int],
    allowed: NDArray[np.bool_],
    nearest: NDArray[np.float64],
    seed: int,
) -> list[int]:
    """Fill the quotas greedily; `nearest` is kept up to date for a next call."""
    left = dict(quotas)
    open_rows = allowed & np.isin(names, [name for name, quota in left.items() if quota])
    chosen: list[int] = []
    while open_rows.any():
        score = np.where(open_rows, nearest, -1.0)
        if np.isinf(score.max()):
            row = int(np.random.default_rng(seed).choice(np.flatnonzero(open_rows)))
        else:
            row = int(score.argmax())
        chosen.append(row)
        open_rows[row] = False
        name = str(names[row])
        left[name] -= 1
        if not left[name]:
            open_rows &= names != name
        np.minimum(nearest, distances_to_set(features, features[row : row + 1]), out=nearest)
    return chosen

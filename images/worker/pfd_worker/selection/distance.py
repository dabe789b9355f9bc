"""Novelty as distance: how far a frame is, in feature space, from the nearest one of the training set."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from pfd_worker.selection.training_set import TrainingSet

NUMBERS_AT_A_TIME = 1_000_000
"""Features or distances: bounds the memory of a search (some 8 MB each), however many candidates and labels there
are."""
_TOLERANCE = 1e-3
"""Part of a squared distance that rounding may make of it before the nearest one is looked for without."""
_EPSILON = np.finfo(np.float64).eps


def distances_to_set(points: NDArray[np.float32], reference: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the distance of every point to the nearest one of a set.

    Parameters
    ----------
    points
        (n, d).
    reference
        (m, d); the distances are infinite if m is 0.
    """
    return _nearest(points, reference, np.arange(len(points)), np.full(len(reference), -1))


def own_distances(training: TrainingSet) -> NDArray[np.float64]:
    """Return the distance of every frame to the nearest one of another trajectory; infinite if there is no other."""
    return _nearest(training.features, training.features, training.trajectories, training.trajectories)


def _nearest(
    points: NDArray[np.float32],
    reference: NDArray[np.float32],
    kinds: NDArray[np.intp],
    kinds_of_reference: NDArray[np.intp],
) -> NDArray[np.float64]:
    """Return the distance of every point to the nearest one of a set that is of another kind; infinite without one.

    Which one is the nearest, a matrix product tells: by differences, 4000 frames among themselves take eight times as
    long. How far it is, the product would tell of near-duplicates by what rounding leaves. Where rounding is larger
    than that, as with a reference far from all others, differences tell both.
    """
    centre = reference.mean(axis=0, dtype=np.float64) if len(reference) else 0.0
    distances = np.full(len(points), np.inf)
    for rows in _blocks(points):
        block = points[rows] - centre
        least, nearest = np.full(len(block), np.inf), np.zeros(len(block), dtype=np.intp)
        for columns in _blocks(reference):
            others = reference[columns] - centre
            # but for the squares of the points, which are the same for all
            squares = np.sum(others**2, axis=1) - 2 * (block @ others.T)
            squares[kinds[rows, None] == kinds_of_reference[columns]] = np.inf
            best = squares.argmin(axis=1)
            found = np.take_along_axis(squares, best[:, None], axis=1)[:, 0]
            closer = found < least
            least[closer], nearest[closer] = found[closer], columns.start + best[closer]
        there = np.isfinite(least)
        between = points[rows][there].astype(np.float64) - reference[nearest[there]]
        distances[rows][there] = np.linalg.norm(between, axis=1)
        # of what may be nearer than what was found, too: others are so far that rounding does not bring them near
        lengths = np.linalg.norm(block, axis=1)
        rounding = _EPSILON * points.shape[1] * (2 * lengths + distances[rows]) ** 2
        told = (distances[rows] == 0) | ~there | (rounding < _TOLERANCE * distances[rows] ** 2)
        unsure = rows.start + np.flatnonzero(~told)
        distances[unsure] = _by_differences(points[unsure], reference, kinds[unsure], kinds_of_reference)
    return distances


def _by_differences(
    points: NDArray[np.float32],
    reference: NDArray[np.float32],
    kinds: NDArray[np.intp],
    kinds_of_reference: NDArray[np.intp],
) -> NDArray[np.float64]:
    """Return what `_nearest` does, by the difference of each point and each of the set."""
    distances = np.full(len(points), np.inf)
    for columns in _blocks(reference):
        between = cdist(points, reference[columns])
        between[kinds[:, None] == kinds_of_reference[columns]] = np.inf
        np.minimum(distances, between.min(axis=1), out=distances)
    return distances


def _blocks(points: NDArray[np.float32]) -> Iterator[slice]:
    """Return rows, so many at a time that neither their features nor distances to as many others are too many."""
    size = max(1, int(min(NUMBERS_AT_A_TIME / points.shape[1], NUMBERS_AT_A_TIME**0.5)))
    return (slice(begin, begin + size) for begin in range(0, len(points), size))


class Distance:
    """Farthest-point search: the candidate taken next is the farthest from the training set and from those taken.

    Parameters
    ----------
    features
        (n, d) of the candidates.
    training
        Of the frames that are labelled already, if there are any.
    """

    def __init__(self, features: NDArray[np.float32], training: TrainingSet) -> None:
        self._features = features
        self.training = training
        self.scores = distances_to_set(features, training.features)
        self.own = own_distances(training)

    def take(self, row: int) -> None:
        """See `Novelty.take`."""
        taken = self._features[row : row + 1]
        # not `distances_to_set`, which looks for the nearest first: of one it takes three times as long
        for rows in _blocks(self._features):
            np.minimum(self.scores[rows], cdist(self._features[rows], taken)[:, 0], out=self.scores[rows])

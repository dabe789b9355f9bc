"""Novelty as distance: how far a frame is, in feature space, from the nearest one of the training set."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from pfd_worker.selection.training_set import TrainingSet

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


def own_distances(training: TrainingSet) -> NDArray[np.float64]:
    """Return the distance of every frame to the nearest one of another trajectory; infinite if there is no other."""
    features, trajectories = training.features, training.trajectories
    own = np.empty(len(features))
    for rows in _blocks(features, features):
        distances = cdist(features[rows], features)
        distances[trajectories[rows, None] == trajectories] = np.inf
        own[rows] = distances.min(axis=1)
    return own


def _blocks(points: NDArray[np.float32], reference: NDArray[np.float32]) -> Iterator[slice]:
    size = max(1, NUMBERS_AT_A_TIME // max(len(reference), points.shape[1]))
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
        np.minimum(self.scores, distances_to_set(self._features, self._features[row : row + 1]), out=self.scores)

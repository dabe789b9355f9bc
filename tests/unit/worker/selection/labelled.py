"""Training sets of features alone."""

import numpy as np

from pfd_worker.selection.novelty import TrainingSet


def each_by_itself(features: np.ndarray) -> TrainingSet:
    """Return a set in which every frame is of a trajectory of its own."""
    return TrainingSet(features, np.arange(len(features)), np.ones(len(features), dtype=bool))

"""Frames that are labelled, by what their info says, and training sets of features alone."""

import numpy as np
from ase import Atoms

from pfd_worker.selection.training_set import TrainingSet


def each_by_itself(features: np.ndarray) -> TrainingSet:
    """Return a set in which every frame is of a trajectory of its own."""
    return TrainingSet(features, np.arange(len(features)), np.ones(len(features), dtype=bool))


def labelled(system: str, formula: str, trajectory: str, sampling: str | None) -> Atoms:
    """Return a frame."""
    return Atoms(formula, info={"system": system, "trajectory": trajectory, "sampling": sampling})

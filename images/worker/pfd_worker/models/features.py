"""Features of frames for selection."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from pfd_operator.contract.result import Reason
from pfd_worker.errors import user_error
from pfd_worker.models.base import AtomisticModel


def features_of(model: AtomisticModel, frames: Sequence[Atoms], elements: Sequence[str]) -> NDArray[np.float32]:
    """Return a model's features of frames, a row each; of no frames an array that says no number of columns."""
    return model.features(frames, elements) if frames else np.zeros((0, 0), dtype=np.float32)


def features_of_labelled(
    model: AtomisticModel, frames: Sequence[Atoms], elements: Sequence[str]
) -> NDArray[np.float32]:
    """Return those of the frames that candidates are compared with.

    Raises
    ------
    StageError
        NotANumber, naming a frame: all distances to it would be infinite or none, and selection a matter of chance.
    """
    features = features_of(model, frames, elements)
    wrong = np.flatnonzero(~np.isfinite(features).all(axis=1))
    if len(wrong):
        atoms = frames[int(wrong[0])]
        raise user_error(
            Reason.NOT_A_NUMBER,
            f"the model's descriptors are not numbers, or larger than float32 holds, for {len(wrong)} of {len(frames)} "
            f"labelled frames; the first is frame {wrong[0]} ({atoms.get_chemical_formula()}, "
            f"{atoms.info.get('trajectory', 'no trajectory')}). Nothing can be selected by them. The training may have "
            "diverged: lower spec.training.learningRateStart, or give another model.",
        )
    return features

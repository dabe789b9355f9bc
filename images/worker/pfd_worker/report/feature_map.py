"""A map of the training set: principal components of the features that selection measures distances in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAX_POINTS = 2000


@dataclass(frozen=True)
class FeatureMap:
    """Frames of the training set on two axes."""

    points: NDArray[np.float64]
    """(n_frames, 2), in the unit of the features."""
    is_new: NDArray[np.bool_]
    """Frames that this iteration added."""
    explained: tuple[float, float]
    """Fractions of the variance along both axes."""
    total: int
    """Frames there were before thinning."""


def feature_map(features: NDArray[np.float32], new: int, seed: int) -> FeatureMap | None:
    """Project features on their two first principal components, unscaled: distances are those of selection.

    Parameters
    ----------
    features
        (n_frames, n_features); the last `new` rows are of the frames added last.
    new
        How many those are.
    seed
        Of the thinning of frames from before; new ones are thinned only if they alone are too many.

    Returns
    -------
    FeatureMap or None
        None with fewer than three frames, or when all frames are equal.
    """
    if len(features) < 3 or features.shape[1] < 2:
        return None
    centred = features.astype(np.float64) - features.mean(axis=0, dtype=np.float64)
    _, strengths, axes = np.linalg.svd(centred, full_matrices=False)
    variance = strengths**2
    if variance.sum() <= 1e-12 * np.sum(features.astype(np.float64) ** 2):
        return None
    axes = axes[:2]
    # The sign of a singular vector is open: fix it, so that equal data gives an equal picture
    signs = np.sign(axes[np.arange(2), np.abs(axes).argmax(axis=1)])
    points = centred @ (axes * signs[:, None]).T
    is_new = np.arange(len(features)) >= len(features) - new
    rows = _thinned(is_new, seed)
    explained = variance[:2] / variance.sum()
    return FeatureMap(points[rows], is_new[rows], (float(explained[0]), float(explained[1])), len(features))


def _thinned(is_new: NDArray[np.bool_], seed: int) -> NDArray[np.int64]:
    if len(is_new) <= MAX_POINTS:
        return np.arange(len(is_new))
    rng = np.random.default_rng(seed)
    new, old = np.flatnonzero(is_new), np.flatnonzero(~is_new)
    new = rng.permutation(new)[:MAX_POINTS]
    old = rng.permutation(old)[: MAX_POINTS - len(new)]
    return np.sort(np.concatenate([old, new]))

"""What other trajectories would have given: sums of squared errors, resampled by trajectory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BOOTSTRAP_SAMPLES = 1000

Floats = NDArray[np.float64]


def grouped(groups: Sequence[str], values: Sequence[float]) -> Floats:
    """Add up values by group, in the order of the groups' names."""
    rows = np.unique(groups, return_inverse=True)[1]
    return np.bincount(rows, weights=values).astype(np.float64)


def rmse_interval(squares: Floats, counts: Floats, seed: int) -> tuple[float, float]:
    """Return the 95 % interval of an RMSE.

    Frames of one trajectory are alike: sixteen of two trajectories tell little more than two frames would.

    Parameters
    ----------
    squares
        Sum of the squared errors of each trajectory, (n,), n ≥ 1.
    counts
        How many errors those are, (n,).
    seed
        Decides the samples.
    """
    weights = _weights(len(squares), seed)
    low, high = np.quantile(np.sqrt((weights @ squares) / (weights @ counts)), [0.025, 0.975])
    return float(low), float(high)


def _weights(n: int, seed: int) -> NDArray[np.int64]:
    """Return how often each of n trajectories is drawn, (samples, n).

    One fewer than there are: n draws would give n − 1 parts in n of the variance (Rao and Wu, J. Am. Stat. Assoc. 83,
    231 (1988)), which is no small matter of four.
    """
    draws = np.random.default_rng(seed).multinomial(max(1, n - 1), np.full(n, 1 / n), size=BOOTSTRAP_SAMPLES)
    return np.asarray(draws, dtype=np.int64)

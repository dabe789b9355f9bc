"""What other trajectories would have given, by leaving out each of those that there are once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pfd_operator.contract.student_t import student_t

Floats = NDArray[np.float64]


def grouped(groups: Sequence[str], values: Sequence[float]) -> Floats:
    """Add up values by group, in the order of the groups' names."""
    rows = np.unique(groups, return_inverse=True)[1]
    return np.bincount(rows, weights=values).astype(np.float64)


def of_others(sums: Floats) -> Floats:
    """Return what all but each add up to, (n,)."""
    # not the total minus each, which leaves nothing of small ones beside a large one
    before, after = np.zeros(len(sums)), np.zeros(len(sums))
    before[1:], after[:-1] = np.cumsum(sums[:-1]), np.cumsum(sums[:0:-1])[::-1]
    found: Floats = before + after
    return found


def deviation(without_one: Floats) -> float:
    """Return the standard error of an estimate, by what it is without each of n trajectories, (n,).

    On average the jackknife does not take it for too small (Efron and Stein, Ann. Stat. 9, 586 (1981)); that few tell
    it badly, Student's distribution reckons with (Miller, Biometrika 61, 1 (1974)).
    """
    return float(np.sqrt(len(without_one) - 1) * np.std(without_one))


def rmse_interval(squares: Floats, counts: Floats) -> tuple[float, float] | None:
    """Return the 95 % interval of an RMSE; None where all errors are of one trajectory, or it has no end.

    Frames of one trajectory are alike: sixteen of two trajectories tell little more than two frames would. It is one
    of the logarithm, which is more nearly normal and has no negative end.

    Parameters
    ----------
    squares
        Sum of the squared errors of each trajectory, (n,), n ≥ 2.
    counts
        How many errors those are, (n,).
    """
    others = of_others(squares)
    if not squares.any():
        return 0.0, 0.0
    if not others.all():
        return None
    log = np.log(squares.sum() / counts.sum()) / 2
    reach = student_t(0.975, len(squares) - 1) * deviation(np.log(others / of_others(counts)) / 2)
    with np.errstate(over="ignore"):
        low, high = float(np.exp(log - reach)), float(np.exp(log + reach))
    return (low, high) if np.isfinite(high) else None

"""The learning curve: a power law through (labels, error), and how many labels a smaller error would take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

BOOTSTRAP_SAMPLES = 1000
MIN_POINTS = 3
MOST_LABELS = 1e7
"""A prediction beyond this is a statement about the fit, not about the material."""
_QUANTILES = (0.025, 0.975)


@dataclass(frozen=True)
class LabelEstimate:
    """Labels that a target error would take, by extrapolation."""

    target: float
    labels: float
    low: float
    """Lower end of the 95 % bootstrap interval."""
    high: float | None
    """Upper end; None if the fit leaves it open."""


@dataclass(frozen=True)
class PowerLaw:
    """error = amplitude · labels^(-exponent)."""

    amplitude: float
    """In the unit of the error, at one label."""
    exponent: float
    exponent_interval: tuple[float, float]
    """95 % bootstrap interval."""
    points: int
    samples: NDArray[np.float64]
    """(n_samples, 2): log(amplitude) and exponent of each bootstrap sample."""

    def error_at(self, labels: ArrayLike) -> NDArray[np.float64]:
        """Return the error the law gives at these numbers of labels."""
        result: NDArray[np.float64] = self.amplitude * np.asarray(labels, dtype=float) ** -self.exponent
        return result

    def band(self, labels: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return both ends of the 95 % bootstrap interval of the error at these numbers of labels."""
        logs = self.samples[:, :1] - self.samples[:, 1:] * np.log(np.asarray(labels, dtype=float))[None, :]
        low, high = np.quantile(np.exp(logs), _QUANTILES, axis=0)
        return low, high

    def labels_for(self, target: float) -> LabelEstimate | None:
        """Return the labels the law needs to come down to `target`, None if it never does or only absurdly late.

        Raises
        ------
        ValueError
            If the target is not a positive number.
        """
        if not (np.isfinite(target) and target > 0):
            raise ValueError(f"target error {target}: a power law reaches positive numbers only, give one above 0")
        needed = _labels(np.log(self.amplitude), np.array([self.exponent]), target)[0]
        if needed > MOST_LABELS:
            return None
        spread = _labels(self.samples[:, 0], self.samples[:, 1], target)
        # No interpolation: between a number and infinity there is nothing
        low, high = (float(np.quantile(spread, q, method="inverted_cdf")) for q in _QUANTILES)
        # A percentile interval of few points can lie beside the estimate
        return LabelEstimate(
            target=target,
            labels=float(needed),
            low=min(low, float(needed)),
            high=None if high > MOST_LABELS else max(high, float(needed)),
        )


def fit_power_law(labels: Sequence[float], errors: Sequence[float], seed: int) -> PowerLaw | None:
    """Fit error = a·labels^(-b) by least squares of the logarithms; the interval resamples the points.

    Parameters
    ----------
    labels
        Labels in the training set.
    errors
        The error at each, in any one unit.
    seed
        Of the bootstrap.

    Returns
    -------
    PowerLaw or None
        None with fewer than three different numbers of labels: two points fit any power law. Points without labels or
        without a positive error have no logarithm and are left out.

    References
    ----------
    Hestness et al., "Deep learning scaling is predictable, empirically", arXiv:1712.00409 (2017): errors fall as power
    laws of the number of training samples until they meet a floor, which this fit does not know.
    """
    x, y = np.asarray(labels, dtype=float), np.asarray(errors, dtype=float)
    usable = np.isfinite(x) & np.isfinite(y) & (x > 0) & (y > 0)
    x, y = np.log(x[usable]), np.log(y[usable])
    if len(np.unique(x)) < MIN_POINTS:
        return None
    n = len(x)
    log_amplitude, exponent = _fit(x, y, np.ones((1, n)))[0]
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(n, np.full(n, 1 / n), size=BOOTSTRAP_SAMPLES).astype(float)
    # A sample of equal labels only has no slope
    different = np.array([len(np.unique(x[row > 0])) > 1 for row in weights])
    samples = _fit(x, y, weights[different])
    low, high = np.quantile(samples[:, 1], _QUANTILES)
    return PowerLaw(
        amplitude=float(np.exp(log_amplitude)),
        exponent=float(exponent),
        exponent_interval=(float(low), float(high)),
        points=n,
        samples=samples,
    )


def _fit(x: NDArray[np.float64], y: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (n_fits, 2), intercept and minus the slope, of one weighted straight line for each row of weights."""
    total = weights.sum(axis=1)
    mean_x, mean_y = weights @ x / total, weights @ y / total
    dx, dy = x[None, :] - mean_x[:, None], y[None, :] - mean_y[:, None]
    slope = (weights * dx * dy).sum(axis=1) / (weights * dx**2).sum(axis=1)
    return np.stack([mean_y - slope * mean_x, -slope], axis=1)


def _labels(log_amplitude: ArrayLike, exponent: NDArray[np.float64], target: float) -> NDArray[np.float64]:
    """Return the labels at which each law meets the target; infinite where the error does not fall."""
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        labels = np.exp((np.asarray(log_amplitude) - np.log(target)) / exponent)
    return np.where(exponent > 0, labels, np.inf)

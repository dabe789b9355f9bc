"""The learning curve: a power law through (labels, error), and how many labels a smaller error would take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

BOOTSTRAP_SAMPLES = 1000
MIN_POINTS = 3
MIN_SPAN = 1.5
"""Largest number of labels over the smallest: a slope over less is noise."""
MOST_LABELS = 1e7
"""A prediction beyond this is a statement about the fit, not about the material."""
_QUANTILES = (0.025, 0.975)
_LARGEST_LOG = 600.0
"""Its exponential is still a number, and so are a thousand times that."""


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
    """error = reference_error · (labels / reference_labels)^(-exponent)."""

    reference_labels: float
    """Geometric mean of the labels fitted to, where the law is known best."""
    reference_error: float
    """In the unit of the error."""
    exponent: float
    exponent_interval: tuple[float, float]
    """95 % bootstrap interval."""
    points: int
    samples: NDArray[np.float64]
    """(n_samples, 2): log(reference_error) and exponent of each bootstrap sample."""

    def error_at(self, labels: ArrayLike) -> NDArray[np.float64]:
        """Return the error the law gives at these numbers of labels."""
        ratio = np.asarray(labels, dtype=float) / self.reference_labels
        result: NDArray[np.float64] = self.reference_error * ratio**-self.exponent
        return result

    def band(self, labels: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return both ends of the 95 % bootstrap interval of the error at these numbers of labels."""
        distance = np.log(np.asarray(labels, dtype=float) / self.reference_labels)
        logs = self.samples[:, :1] - self.samples[:, 1:] * distance[None, :]
        low, high = np.exp(np.clip(np.quantile(logs, _QUANTILES, axis=0), -_LARGEST_LOG, _LARGEST_LOG))
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
        fitted = np.array([[np.log(self.reference_error), self.exponent]])
        needed = float(self._labels_for(fitted, target)[0])
        if needed > MOST_LABELS:
            return None
        spread = self._labels_for(self.samples, target)
        # No interpolation: between a number and infinity there is nothing
        low, high = (float(np.quantile(spread, q, method="inverted_cdf")) for q in _QUANTILES)
        # A percentile interval of few points can lie beside the estimate
        return LabelEstimate(
            target=target, labels=needed, low=min(low, needed), high=None if high > MOST_LABELS else max(high, needed)
        )

    def _labels_for(self, laws: NDArray[np.float64], target: float) -> NDArray[np.float64]:
        """Return the labels at which each law meets the target; infinite where the error does not fall."""
        log_error, exponent = laws.T
        falling = exponent > 0
        logs = np.full(len(laws), np.inf)
        np.divide(log_error - np.log(target), exponent, out=logs, where=falling)
        labels: NDArray[np.float64] = np.exp(np.minimum(logs, _LARGEST_LOG)) * self.reference_labels
        return labels


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
        None with fewer than three different numbers of labels, as two points fit any power law, or when the largest
        is not `MIN_SPAN` times the smallest. Points without labels or without a positive error have no logarithm and
        are left out.

    References
    ----------
    Hestness et al., "Deep learning scaling is predictable, empirically", arXiv:1712.00409 (2017): errors fall as power
    laws of the number of training samples until they meet a floor, which this fit does not know.
    """
    x, y = np.asarray(labels, dtype=float), np.asarray(errors, dtype=float)
    usable = np.isfinite(x) & np.isfinite(y) & (x > 0) & (y > 0)
    x, y = np.log(x[usable]), np.log(y[usable])
    n = len(x)
    if len(np.unique(x)) < MIN_POINTS or np.ptp(x) < np.log(MIN_SPAN):
        return None
    centre = x.mean()
    log_error, exponent = _fit(x - centre, y, np.ones((1, n)))[0]
    weights = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=BOOTSTRAP_SAMPLES)
    # A sample of equal labels only has no slope
    taken = weights > 0
    different = np.where(taken, x, -np.inf).max(axis=1) > np.where(taken, x, np.inf).min(axis=1)
    samples = _fit(x - centre, y, weights[different].astype(float))
    low, high = np.quantile(samples[:, 1], _QUANTILES)
    return PowerLaw(
        reference_labels=float(np.exp(centre)),
        reference_error=float(np.exp(log_error)),
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

"""The learning curve: a power law through (labels, error), and how many labels a smaller error would take.

In plain Python and without randomness: the planner states it in the status, the report draws it, both the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .student_t import student_t

MIN_POINTS = 3
MIN_SPAN = 1.5
"""Largest number of labels over the smallest: a slope over less is noise."""
MOST_LABELS = 1e7
"""A prediction beyond this is a statement about the fit, not about the material."""
_LARGEST_LOG = 600.0
"""Its exponential is still a number, and so are a thousand times that."""


@dataclass(frozen=True)
class LabelEstimate:
    """Labels that a target error would take, by extrapolation."""

    target: float
    labels: float
    low: float
    """Lower end of the 95 % interval."""
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
    log_error_deviation: float
    """Standard error of log(reference_error); independent of that of the exponent, as the labels are centred."""
    exponent_deviation: float
    """Standard error of the exponent."""
    points: int

    @property
    def exponent_interval(self) -> tuple[float, float]:
        """Both ends of the 95 % interval."""
        reach = self._quantile * self.exponent_deviation
        return self.exponent - reach, self.exponent + reach

    def error_at(self, labels: float) -> float:
        """Return the error the law gives at this number of labels."""
        return _exponential(math.log(self.reference_error) - self.exponent * self._distance(labels))

    def band(self, labels: float) -> tuple[float, float]:
        """Return both ends of the 95 % interval of the law's error at this number of labels."""
        distance = self._distance(labels)
        log_error = math.log(self.reference_error) - self.exponent * distance
        reach = self._quantile * math.hypot(self.log_error_deviation, distance * self.exponent_deviation)
        return _exponential(log_error - reach), _exponential(log_error + reach)

    def labels_for(self, target: float) -> LabelEstimate | None:
        """Return the labels the law needs to come down to `target`, None if it never does or only absurdly late.

        The interval is Fieller's, for the ratio of two estimates: open above where the exponent may be zero.

        Raises
        ------
        ValueError
            If the target is not a positive number.

        References
        ----------
        E. C. Fieller, "Some problems in interval estimation", J. R. Stat. Soc. B 16, 175 (1954).
        """
        if not (math.isfinite(target) and target > 0):
            raise ValueError(f"target error {target}: a power law reaches positive numbers only, give one above 0")
        drop = math.log(self.reference_error / target)
        if self.exponent <= 0 or self._labels_at(drop / self.exponent) > MOST_LABELS:
            return None
        t, centre = self._quantile, drop / self.exponent
        # |drop - exponent·x| ≤ t·deviation(x), a quadratic inequality in x = log(labels / reference_labels)
        square = self.exponent**2 - (t * self.exponent_deviation) ** 2
        constant = drop**2 - (t * self.log_error_deviation) ** 2
        root = math.sqrt(max(0.0, (self.exponent * drop) ** 2 - square * constant))
        if square <= 0:
            lower = (self.exponent * drop - root) / square if square < 0 and root > 0 else -math.inf
            low = self._labels_at(lower) if lower <= centre else 0.0
            return LabelEstimate(target, self._labels_at(centre), low, None)
        ends = ((self.exponent * drop - root) / square, (self.exponent * drop + root) / square)
        low, high = (self._labels_at(end) for end in ends)
        labels = self._labels_at(centre)
        # rounding must not put the estimate beside its interval
        return LabelEstimate(target, labels, min(low, labels), None if high > MOST_LABELS else max(high, labels))

    @property
    def _quantile(self) -> float:
        return student_t(0.975, self.points - 2)

    def _distance(self, labels: float) -> float:
        return math.log(labels / self.reference_labels)

    def _labels_at(self, distance: float) -> float:
        return self.reference_labels * _exponential(distance)


def fit_power_law(labels: Sequence[float], errors: Sequence[float]) -> PowerLaw | None:
    """Fit error = a·labels^(-b) by least squares of the logarithms.

    Parameters
    ----------
    labels
        Labels in the training set.
    errors
        The error at each, in any one unit.

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
    pairs = zip(labels, errors, strict=True)
    logs = [(math.log(x), math.log(y)) for x, y in pairs if _positive(x) and _positive(y)]
    different = {x for x, _ in logs}
    if len(different) < MIN_POINTS or max(different) - min(different) < math.log(MIN_SPAN):
        return None
    n = len(logs)
    mean_x, mean_y = sum(x for x, _ in logs) / n, sum(y for _, y in logs) / n
    spread = sum((x - mean_x) ** 2 for x, _ in logs)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in logs) / spread
    variance = sum((y - mean_y - slope * (x - mean_x)) ** 2 for x, y in logs) / (n - 2)
    return PowerLaw(
        reference_labels=math.exp(mean_x),
        reference_error=math.exp(mean_y),
        exponent=-slope,
        log_error_deviation=math.sqrt(variance / n),
        exponent_deviation=math.sqrt(variance / spread),
        points=n,
    )


def _positive(value: float) -> bool:
    return math.isfinite(value) and value > 0


def _exponential(log: float) -> float:
    return math.exp(min(max(log, -_LARGEST_LOG), _LARGEST_LOG))

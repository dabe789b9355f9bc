"""Student's distribution, in plain Python: the operator judges by intervals that the worker makes."""

from __future__ import annotations

import math

_HALVINGS = 60
"""Of an interval of angles: to the last digit."""
MANY_DEGREES = 1000
"""Degrees of freedom beyond which the quantile is that of the normal distribution, within a thousandth."""


def student_t(probability: float, degrees: int) -> float:
    """Return the quantile of Student's t.

    Parameters
    ----------
    probability
        To be below it, from 0.5 to less than 1.
    degrees
        Of freedom, 1 or more.
    """
    degrees = min(degrees, MANY_DEGREES)
    low, high = 0.0, math.pi / 2
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if (1 + _within(middle, degrees)) / 2 < probability:
            low = middle
        else:
            high = middle
    return math.sqrt(degrees) * math.tan(low)


def _within(angle: float, degrees: int) -> float:
    """Return the probability that |t| < √degrees · tan(angle) (Abramowitz and Stegun, 26.7.3 and 26.7.4)."""
    odd = degrees % 2
    cosine_squared = math.cos(angle) ** 2
    term = math.cos(angle) if odd else 1.0
    total = 0.0
    for n in range(1 + odd, degrees, 2):
        total += term
        term *= cosine_squared * n / (n + 1)
    total *= math.sin(angle)
    return 2 / math.pi * (angle + total) if odd else total

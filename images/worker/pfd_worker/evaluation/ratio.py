"""How much larger one model's errors are than another's on the same frames, and whether by more than chance."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from pfd_operator.contract.student_t import student_t
from pfd_worker.evaluation.jackknife import Floats, deviation, of_others

CERTAINTY = 0.95
"""With which a model is called worse than others."""
TOLERATED_LOSS = 1.2
"""In the RMSE of one quantity, for what is won in another: energies ten times better are not thrown away for forces
that are worse by a few percent on every trajectory, but what converges in both must be good in both."""

Squares = Mapping[str, Floats]
"""Of errors, as `squares_of_trajectories` gives them."""


@dataclass(frozen=True)
class ErrorRatio:
    """Of mean squared errors; of several quantities, the product."""

    log: float
    deviation: float
    """Standard error of `log`, by leaving out each trajectory once: what makes a trajectory hard makes it so for both
    models, and does not count."""
    trajectories: int

    @property
    def error_of_rmse_ratio(self) -> float | None:
        """Standard error of the ratio of the root mean squares; None of fewer than two trajectories."""
        return float(np.exp(self.log / 2) * self.deviation / 2) if self.trajectories > 1 else None

    def surely_above(self, factor: float, comparisons: int) -> bool:
        """Say whether chance would not make it so; of fewer than two trajectories that is never said.

        Parameters
        ----------
        factor
            Of the root mean squares.
        comparisons
            Of which this is one: as many as there are models of which the other one is the best, at the most, times the
            quantities looked at. The best of many that are equally good is chance's choice, and so the certainty is
            that of all comparisons together (Dunn, J. Am. Stat. Assoc. 56, 52 (1961)).
        """
        if self.trajectories < 2:
            return False
        margin = student_t(1 - (1 - CERTAINTY) / comparisons, self.trajectories - 1) * self.deviation
        return bool(self.log > 2 * np.log(factor) + margin)


def error_ratio(squares: Squares, others: Squares, quantities: Collection[str]) -> ErrorRatio:
    """Compare the errors of two models on the same frames.

    A product of ratios has no unit and needs no weights: half the error in the forces outweighs up to twice that in the
    energies. It is that of the root mean squares, squared.

    Parameters
    ----------
    squares, others
        Sums of squared errors of each trajectory.
    quantities
        Those that count, where two trajectories or more have them for both models.
    """
    both = [(squares[name], others[name]) for name in quantities if name in squares and name in others]
    # earlier versions left out what is not known: of which trajectories the others are cannot be told
    pairs = [_known(mine, theirs) for mine, theirs in both if len(mine) == len(theirs)]
    pairs = [(mine, theirs) for mine, theirs in pairs if np.count_nonzero(mine) > 1]
    if not pairs:
        return ErrorRatio(0.0, 0.0, 0)
    log = sum(np.log(mine.sum()) - np.log(theirs.sum()) for mine, theirs in pairs)
    without_one = np.sum([np.log(of_others(mine)) - np.log(of_others(theirs)) for mine, theirs in pairs], axis=0)
    fewest = min(np.count_nonzero(mine) for mine, _ in pairs)
    return ErrorRatio(float(log), deviation(without_one), int(fewest))


def surely_worse(squares: Squares, lowest: Squares, asked: Collection[str], models: int) -> bool:
    """Say whether a model is not to be preferred to earlier ones.

    Its errors are surely larger: those that are asked for taken together, or one of them by more than
    `TOLERATED_LOSS`, whatever the others do.

    Parameters
    ----------
    squares, lowest
        Of the model, and the lowest of the earlier ones, each quantity's by itself.
    asked
        Quantities that count.
    models
        How many earlier ones there are, at the most.
    """
    # of each quantity the lowest is chance's choice by itself, also where they are taken together
    comparisons = models * len(asked)
    if error_ratio(squares, lowest, asked).surely_above(1.0, comparisons):
        return True
    each = [error_ratio(squares, lowest, [quantity]) for quantity in asked]
    return any(ratio.surely_above(TOLERATED_LOSS, comparisons) for ratio in each)


def lowest_of(squares: Squares, others: Squares) -> Squares:
    """Return the lower squares of two models, each quantity's by itself; the first one's if nothing compares them."""
    found = {**others, **squares}
    for quantity in squares.keys() & others.keys():
        ratio = error_ratio(squares, others, [quantity])
        if ratio.trajectories and ratio.log > 0:
            found[quantity] = others[quantity]
    return found


def _known(mine: Floats, theirs: Floats) -> tuple[Floats, Floats]:
    """Return the sums of both, zero where either is not known."""
    known = (mine > 0) & (theirs > 0)
    return mine * known, theirs * known

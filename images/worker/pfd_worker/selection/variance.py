"""Novelty as uncertainty: the posterior spread of a linear model of the features, given what is labelled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pfd_worker.selection.training_set import TrainingSet

PRIOR_PRECISION = 0.01
"""Of the linear model's weights, where features have a mean square length of 1 and labels a noise of 1. Directions that
hold less than this part of the features' variance count as unseen however many labels there are."""
ROWS_AT_A_TIME = 4096


class PosteriorVariance:
    """Greedy D-optimal search: the candidate taken next is the one that the labels so far determine least.

    A Bayesian linear model on features of the network is what a last-layer Laplace approximation of it is; taking the
    largest variance and updating it is MaxDet, which chose best for interatomic potentials, with farthest-point search
    in the same features close by (Zaverkin et al., Digital Discovery 1, 605 (2022); Bigi et al., Mach. Learn.: Sci.
    Technol. 5, 045018 (2024)).

    Parameters
    ----------
    features
        (n, d) of the candidates.
    training
        Of the frames that are labelled already, if there are any.
    """

    def __init__(self, features: NDArray[np.float32], training: TrainingSet) -> None:
        self._features = features
        self.training = training
        labelled = training.features
        self._centre = (labelled if len(labelled) else features).mean(axis=0, dtype=np.float64)
        squares = sum(float(np.sum((features[rows] - self._centre) ** 2)) for rows in self._blocks())
        self._scale = np.sqrt(squares / len(features)) or 1.0
        known = (labelled - self._centre) / self._scale
        precision = known.T @ known + PRIOR_PRECISION * np.eye(features.shape[1])
        self._covariance = np.linalg.inv(precision)
        self._variance = np.concatenate([_variance(self._rows(rows), self._covariance) for rows in self._blocks()])
        self.own = _own_deviations(known, precision, self._covariance, training.trajectories)

    @property
    def scores(self) -> NDArray[np.float64]:
        """Standard deviations, in units of the label noise."""
        deviations: NDArray[np.float64] = np.sqrt(np.maximum(self._variance, 0.0))
        return deviations

    def take(self, row: int) -> None:
        """See `Novelty.take`: the update of Sherman and Morrison."""
        taken = self._rows(slice(row, row + 1))[0]
        gain = self._covariance @ taken
        noise = 1.0 + taken @ gain
        for rows in self._blocks():
            self._variance[rows] -= (self._rows(rows) @ gain) ** 2 / noise
        self._covariance -= np.outer(gain, gain) / noise

    def _blocks(self) -> list[slice]:
        return [slice(begin, begin + ROWS_AT_A_TIME) for begin in range(0, len(self._features), ROWS_AT_A_TIME)]

    def _rows(self, rows: slice) -> NDArray[np.float64]:
        centred: NDArray[np.float64] = (self._features[rows] - self._centre) / self._scale
        return centred


def _variance(rows: NDArray[np.float64], covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    variance: NDArray[np.float64] = np.einsum("ij,ij->i", rows @ covariance, rows)
    return variance


def _own_deviations(
    known: NDArray[np.float64],
    precision: NDArray[np.float64],
    covariance: NDArray[np.float64],
    trajectories: NDArray[np.intp],
) -> NDArray[np.float64]:
    """Return what each labelled frame's deviation would be without the labels of its trajectory."""
    variances = np.empty(len(known))
    for trajectory in np.unique(trajectories):
        rows = trajectories == trajectory
        mine = known[rows]
        if len(mine) < len(covariance):
            # by Woodbury's identity: there are many trajectories of few frames, and inverses of d columns cost d³ each
            hat = mine @ covariance @ mine.T
            variances[rows] = np.diag(np.linalg.solve(np.eye(len(mine)) - hat, hat))
        else:
            without = np.linalg.solve(precision - mine.T @ mine, mine.T)
            variances[rows] = np.einsum("ij,ji->i", mine, without)
    deviations: NDArray[np.float64] = np.sqrt(np.maximum(variances, 0.0))
    return deviations

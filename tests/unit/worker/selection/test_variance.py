import numpy as np
import pytest

from pfd_worker.selection import variance
from pfd_worker.selection.training_set import TrainingSet
from pfd_worker.selection.variance import PRIOR_PRECISION, PosteriorVariance
from tests.unit.worker.selection.labelled import each_by_itself


def cloud(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, [3, 1, 0.1, 0.01], (count, 4)).astype(np.float32)


def by_definition(features: np.ndarray, known: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Standard deviations of a Bayesian linear model, centred and scaled as the reference says."""
    centre = reference.mean(axis=0)
    scale = np.sqrt(np.mean(np.sum((features - centre) ** 2, axis=1)))
    rows, labelled = (features - centre) / scale, (known - centre) / scale
    covariance = np.linalg.inv(labelled.T @ labelled + PRIOR_PRECISION * np.eye(4))
    return np.sqrt(np.diag(rows @ covariance @ rows.T))


@pytest.mark.parametrize("at_a_time", [3, 4096])
def test_scores_and_their_updates_are_those_of_a_linear_model(at_a_time, monkeypatch):
    monkeypatch.setattr(variance, "ROWS_AT_A_TIME", at_a_time)
    features, training = cloud(20, 1).astype(float), cloud(7, 2).astype(float)
    novelty = PosteriorVariance(features, each_by_itself(training))
    assert novelty.scores == pytest.approx(by_definition(features, training, training))
    for row in (4, 11, 4):
        novelty.take(row)
    known = np.concatenate([training, features[[4, 11, 4]]])
    assert novelty.scores == pytest.approx(by_definition(features, known, training))


def test_a_direction_no_label_shows_is_new_however_short_it_is_in_features():
    training = cloud(200, 1)
    training[:, 2] = 0
    candidates = np.array([[3, 0, 0, 0], [0, 0, 1, 0]], np.float32)
    known, unseen = PosteriorVariance(candidates, each_by_itself(training)).scores
    assert unseen > 2 * known


def test_equal_frames_are_not_new_to_one_another():
    same = np.ones((5, 4), np.float32)
    assert PosteriorVariance(same, each_by_itself(same[:0])).scores == pytest.approx(np.zeros(5))


def test_own_scores_are_those_of_a_model_without_the_labels_of_the_trajectory():
    # trajectories with fewer frames than there are features, and one with more
    training, trajectories = cloud(12, 2).astype(float), np.array([0, 1, 0, 2, 1, 2, 0, 3, 3, 3, 3, 3])
    candidates = cloud(20, 1).astype(float)
    novelty = PosteriorVariance(candidates, TrainingSet(training, trajectories, np.ones(12, dtype=bool)))
    centre = training.mean(axis=0)
    scale = np.sqrt(np.mean(np.sum((candidates - centre) ** 2, axis=1)))
    known = (training - centre) / scale
    for row, trajectory in enumerate(trajectories):
        others = known[trajectories != trajectory]
        covariance = np.linalg.inv(others.T @ others + PRIOR_PRECISION * np.eye(4))
        assert novelty.own[row] == pytest.approx(np.sqrt(known[row] @ covariance @ known[row]))


def test_own_scores_of_many_trajectories_take_no_inverse_each(monkeypatch):
    shapes = []
    solve = np.linalg.solve

    def noted(matrix, right):
        shapes.append(matrix.shape)
        return solve(matrix, right)

    monkeypatch.setattr(np.linalg, "solve", noted)
    training = np.random.default_rng(3).normal(size=(12, 40))
    PosteriorVariance(training, TrainingSet(training, np.repeat(np.arange(6), 2), np.ones(12, dtype=bool)))
    assert shapes == [(2, 2)] * 6

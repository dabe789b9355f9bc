import tracemalloc

import numpy as np
import pytest

from pfd_worker.selection import distance
from pfd_worker.selection.distance import distances_to_set, own_distances
from pfd_worker.selection.training_set import TrainingSet
from tests.unit.worker.selection.labelled import each_by_itself


def cloud(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, (count, 3)).astype(np.float32)


def test_own_distances_follow_the_spread_of_the_training_set():
    training = cloud(60, 5)
    own = own_distances(each_by_itself(training))
    assert own_distances(each_by_itself(training * 100)) == pytest.approx(100 * own, rel=1e-4)
    assert np.isinf(own_distances(each_by_itself(training[:1]))).all()


def test_distances_to_an_empty_set_are_infinite():
    assert np.isinf(distances_to_set(cloud(3, 1), np.zeros((0, 3), np.float32))).all()


@pytest.mark.parametrize("at_a_time", [1, 7, 10**6])
def test_distances_do_not_depend_on_how_many_are_held_at_a_time(at_a_time, monkeypatch):
    monkeypatch.setattr(distance, "NUMBERS_AT_A_TIME", at_a_time)
    points, reference = cloud(20, 1), cloud(6, 2)
    between = np.linalg.norm(points[:, None].astype(float) - reference[None], axis=2)
    assert distances_to_set(points, reference) == pytest.approx(between.min(axis=1))
    own = np.linalg.norm(reference[:, None].astype(float) - reference[None], axis=2)
    trajectories = np.array([0, 1, 1, 0, 2, 0])
    own[trajectories[:, None] == trajectories] = np.inf
    training = TrainingSet(reference, trajectories, np.ones(6, dtype=bool))
    assert own_distances(training) == pytest.approx(own.min(axis=1))


def test_a_frame_that_is_in_the_set_is_at_no_distance_and_near_ones_are_told_apart():
    reference = 1000 + cloud(50, 1)
    points = np.concatenate([reference[:3], reference[:3] + np.float32(1e-3)])
    between = np.linalg.norm(points.astype(float) - np.tile(reference[:3], (2, 1)), axis=1)
    assert distances_to_set(points, reference).tolist() == pytest.approx(between.tolist(), rel=1e-12, abs=0)


@pytest.mark.parametrize("far", [1e6, 1e8, 1e12])
def test_references_far_away_do_not_decide_which_of_the_others_is_nearest(far):
    points, near = cloud(20, 1), cloud(30, 2)
    between = np.linalg.norm(points[:, None].astype(float) - near[None], axis=2).min(axis=1)
    one_far = np.concatenate([near, np.full((1, 3), far, np.float32)])
    half_far = np.concatenate([near, near + np.float32(far)])
    for reference in (one_far, half_far):
        assert distances_to_set(points, reference) == pytest.approx(between, rel=1e-3)


def test_memory_does_not_grow_with_the_labels(monkeypatch):
    monkeypatch.setattr(distance, "NUMBERS_AT_A_TIME", 10_000)
    points, reference = cloud(10, 1), cloud(100_000, 2)
    tracemalloc.start()
    distances_to_set(points, reference)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()

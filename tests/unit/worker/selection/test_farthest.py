import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pfd_worker.selection import farthest
from pfd_worker.selection.farthest import distances_to_set, duplicate_distance, select_farthest


def cloud(count: int, seed: int, centre: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(centre, 1, (count, 3)).astype(np.float32)


@settings(max_examples=40)
@given(st.integers(1, 40), st.integers(0, 50), st.integers(0, 12), st.integers(1, 4), st.integers(0, 1000))
def test_exactly_n_distinct_rows_whatever_the_training_set(candidates, count, known, n_strata, seed):
    features = cloud(candidates, seed)
    strata = [f"s{number % n_strata}" for number in range(candidates)]
    training = features[:known] if known else np.zeros((0, 3), np.float32)
    chosen = select_farthest(features, strata, count, training, seed)
    assert len(chosen) == len(set(chosen)) == min(count, candidates)
    assert chosen == select_farthest(features, strata, count, training, seed)


def test_outliers_are_chosen_before_the_crowd():
    features = np.concatenate([cloud(100, 1) * 0.01, [[5, 0, 0], [0, 5, 0], [0, 0, 5]]]).astype(np.float32)
    assert set(select_farthest(features, ["s"] * 103, 3, cloud(10, 2) * 0.01, seed=1)) == {100, 101, 102}


def test_each_stratum_fills_its_share_even_if_another_is_more_diverse():
    features = np.concatenate([cloud(50, 1) * 10, cloud(50, 2) * 0.1])
    chosen = select_farthest(features, ["wide"] * 50 + ["narrow"] * 50, 10, np.zeros((0, 3), np.float32), seed=3)
    assert sum(row < 50 for row in chosen) == 5


def test_near_duplicates_of_the_training_set_come_last():
    training = cloud(50, 1)
    copies = training[:20] + np.float32(1e-5)
    fresh = cloud(5, 2, centre=4.0)
    features = np.concatenate([copies, fresh])
    chosen = select_farthest(features, ["s"] * 25, 8, training, seed=4)
    assert set(chosen[:5]) == set(range(20, 25))
    assert len(chosen) == 8


def test_duplicate_distance_follows_the_spread_of_the_training_set():
    training = cloud(60, 5)
    assert duplicate_distance(training * 100) == pytest.approx(100 * duplicate_distance(training), rel=1e-4)
    assert duplicate_distance(training[:1]) == 0.0


def test_distances_to_an_empty_set_are_infinite():
    assert np.isinf(distances_to_set(cloud(3, 1), np.zeros((0, 3), np.float32))).all()


@pytest.mark.parametrize("at_a_time", [1, 7, 10**6])
def test_distances_do_not_depend_on_how_many_are_held_at_a_time(at_a_time, monkeypatch):
    monkeypatch.setattr(farthest, "NUMBERS_AT_A_TIME", at_a_time)
    points, reference = cloud(20, 1), cloud(6, 2)
    between = np.linalg.norm(points[:, None].astype(float) - reference[None], axis=2)
    assert distances_to_set(points, reference) == pytest.approx(between.min(axis=1))
    own = np.linalg.norm(reference[:, None].astype(float) - reference[None], axis=2)
    np.fill_diagonal(own, np.inf)
    assert duplicate_distance(reference) == pytest.approx(np.quantile(own.min(axis=1), farthest.DUPLICATE_QUANTILE))

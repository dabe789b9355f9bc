"""Intervals of errors, of frames that come in trajectories."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pfd_operator.plan.convergence import upper_end
from pfd_worker.evaluation.jackknife import grouped, rmse_interval

SCATTER = 0.8
"""Of the logarithm of frames' mean squares."""


def mean_squares(rng, trajectories, frames, alike):
    """Return mean squares of frames, (trajectories, frames); `alike` is their correlation within a trajectory."""
    common = np.sqrt(alike) * rng.normal(size=(trajectories, 1))
    own = np.sqrt(1 - alike) * rng.normal(size=(trajectories, frames))
    return np.exp(SCATTER * (common + own))


TRUE = np.sqrt(np.exp(SCATTER**2 / 2))


def intervals(trajectories, frames, alike, by_trajectory=True, draws=1000):
    """Yield RMSEs with their intervals."""
    rng = np.random.default_rng(3)
    for _ in range(draws):
        squares = mean_squares(rng, trajectories, frames, alike)
        squares = squares.sum(axis=1) if by_trajectory else squares.ravel()
        counts = np.full(len(squares), frames if by_trajectory else 1.0)
        yield float(np.sqrt(squares.sum() / counts.sum())), *rmse_interval(squares, counts)


def coverage(*sample, **options):
    return float(np.mean([low <= TRUE <= high for _, low, high in intervals(*sample, **options)]))


@pytest.mark.parametrize(
    ("trajectories", "frames", "alike"),
    [(4, 4, 0.5), (5, 2, 0.5), (8, 1, 0.0), (8, 2, 0.5), (8, 2, 0.9), (8, 8, 0.5), (16, 1, 0.0)],
)
def test_the_interval_holds_the_true_error_however_few_trajectories_and_whatever_frames_of_one_have_in_common(
    trajectories, frames, alike
):
    assert 0.89 < coverage(trajectories, frames, alike) < 0.97


@pytest.mark.parametrize("trajectories", [4, 8, 16])
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_the_end_that_a_limit_is_compared_with_is_above_the_true_error_about_as_often_as_asked(
    trajectories, confidence
):
    found = intervals(trajectories, 2, 0.5)
    above = np.mean([upper_end(value, high, confidence, trajectories) >= TRUE for value, _, high in found])
    # errors that scatter log-normally have a long tail, which few do not show
    assert confidence - 0.1 < above < confidence + 0.02


def test_frames_of_one_trajectory_taken_for_independent_would_promise_too_much():
    assert coverage(8, 8, 0.7, by_trajectory=False) < 0.65
    assert coverage(8, 8, 0.7) > 0.89


def test_errors_that_are_all_zero_or_of_one_trajectory():
    assert rmse_interval(np.zeros(4), np.ones(4)) == (0.0, 0.0)
    assert rmse_interval(np.array([0.0, 2.0, 0.0, 0.0]), np.ones(4)) is None
    assert rmse_interval(np.full(4, 8.0), np.full(4, 2.0)) == pytest.approx((2.0, 2.0))


@given(sizes=st.lists(st.integers(1, 4), min_size=2, max_size=6), order=st.randoms(use_true_random=False))
def test_the_order_of_frames_and_the_names_of_trajectories_change_nothing(sizes, order):
    frames = [(f"t{number}", float(number + place)) for number, size in enumerate(sizes) for place in range(size)]
    shuffled = order.sample(frames, len(frames))
    sums = [grouped([name for name, _ in each], [value for _, value in each]) for each in (frames, shuffled)]
    assert sums[0].tolist() == sums[1].tolist() and sums[0].sum() == sum(value for _, value in frames)
    assert rmse_interval(sums[0], np.array(sizes, float)) == rmse_interval(sums[1], np.array(sizes, float))

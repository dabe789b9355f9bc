"""Intervals and comparisons of errors, of frames that come in trajectories."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pfd_worker.evaluation.bootstrap import grouped, rmse_interval, surely_larger

SCATTER = 0.6
"""Of the logarithm of frames' mean squares."""


def mean_squares(rng, trajectories, frames, alike):
    """Return mean squares of frames, (trajectories, frames); `alike` is their correlation within a trajectory."""
    common = np.sqrt(alike) * rng.normal(size=(trajectories, 1))
    own = np.sqrt(1 - alike) * rng.normal(size=(trajectories, frames))
    return np.exp(SCATTER * (common + own))


def coverage(trajectories, frames, alike, by_trajectory=True, draws=400):
    rng, true, hits = np.random.default_rng(3), np.sqrt(np.exp(SCATTER**2 / 2)), 0
    for seed in range(draws):
        squares = mean_squares(rng, trajectories, frames, alike)
        squares = squares.sum(axis=1) if by_trajectory else squares.ravel()
        low, high = rmse_interval(squares, np.full(len(squares), frames if by_trajectory else 1.0), seed)
        hits += low <= true <= high
    return hits / draws


@pytest.mark.parametrize(("frames", "alike"), [(1, 0.0), (2, 0.5), (2, 0.9), (8, 0.5)])
def test_the_interval_of_eight_trajectories_holds_the_true_error_whatever_frames_of_one_have_in_common(frames, alike):
    assert coverage(8, frames, alike) > 0.83


def test_frames_of_one_trajectory_taken_for_independent_would_promise_too_much():
    assert coverage(8, 8, 0.7, by_trajectory=False) < 0.65
    assert coverage(8, 8, 0.7) > 0.83


@given(
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=6), order=st.randoms(use_true_random=False),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_the_order_of_frames_and_the_names_of_trajectories_change_nothing(sizes, order, seed):
    frames = [(f"t{number}", float(number + place)) for number, size in enumerate(sizes) for place in range(size)]
    shuffled = order.sample(frames, len(frames))
    sums = [grouped([name for name, _ in each], [value for _, value in each]) for each in (frames, shuffled)]
    assert sums[0].tolist() == sums[1].tolist() and sums[0].sum() == sum(value for _, value in frames)
    assert rmse_interval(sums[0], np.array(sizes, float), seed) == rmse_interval(sums[1], np.array(sizes, float), seed)


@given(
    trajectories=st.integers(2, 30), factor=st.floats(1.01, 3.0), alike=st.floats(0.0, 1.0), seed=st.integers(0, 999)
)
@settings(deadline=None)
def test_a_model_worse_on_every_trajectory_is_surely_worse_however_these_scatter(trajectories, factor, alike, seed):
    squares = mean_squares(np.random.default_rng(seed), trajectories, 2, alike).sum(axis=1)
    assert surely_larger(factor**2 * squares, squares, seed)
    assert not surely_larger(squares, factor**2 * squares, seed) and not surely_larger(squares, squares, seed)


@pytest.mark.parametrize(("trajectories", "most"), [(4, 0.2), (8, 0.12), (16, 0.1)])
def test_models_that_differ_by_chance_are_seldom_told_apart(trajectories, most):
    rng, found = np.random.default_rng(8), 0
    for seed in range(300):
        squares = mean_squares(rng, trajectories, 1, 0.0)[:, 0]
        mine, others = squares * np.exp(0.3 * rng.normal(size=(2, trajectories)))
        found += surely_larger(mine, others, seed)
    assert found / 300 < most


def test_of_one_trajectory_the_errors_themselves_decide():
    assert surely_larger(np.array([1.1]), np.array([1.0]), 0) and not surely_larger(np.array([1.0]), np.array([1.1]), 0)

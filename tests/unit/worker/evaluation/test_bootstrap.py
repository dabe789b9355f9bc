"""Intervals of errors, of frames that come in trajectories."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pfd_worker.evaluation.bootstrap import grouped, rmse_interval

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

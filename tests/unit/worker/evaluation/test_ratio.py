"""Comparisons of two models' errors on the same trajectories."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pfd_worker.evaluation.ratio import error_ratio
from pfd_worker.preparation.data import MOST_MEASURED_ON

FORCES, ALL = ("force",), ("force", "energy", "virial")


def hard_and_easy(rng, trajectories, scatter=0.8):
    """Sums of squares of trajectories of which some are harder than others, whatever the model."""
    return np.exp(scatter * rng.normal(size=trajectories))


def by_chance(rng, squares, scatter=0.3):
    """Those of a model that is as good, and better on some of them."""
    return squares * np.exp(scatter * rng.normal(size=len(squares)))


def surely_larger(mine, theirs, others=1):
    return error_ratio({"force": mine}, {"force": theirs}, FORCES).surely_above(1.0, others)


@given(
    trajectories=st.integers(2, 30), factor=st.floats(1.01, 3.0), others=st.integers(1, 20), seed=st.integers(0, 999)
)
@settings(deadline=None)
def test_a_model_worse_by_the_same_on_every_trajectory_is_surely_worse(trajectories, factor, others, seed):
    squares = hard_and_easy(np.random.default_rng(seed), trajectories)
    assert surely_larger(factor**2 * squares, squares, others)
    assert not surely_larger(squares, factor**2 * squares, others) and not surely_larger(squares, squares, others)


@pytest.mark.parametrize("others", [1, 4, 12])
@pytest.mark.parametrize("trajectories", [2, 3, 4, 8, 16])
def test_the_newest_of_equally_good_models_is_seldom_worse_than_the_best_of_the_others(trajectories, others):
    rng, found = np.random.default_rng(8), 0
    for _ in range(400):
        squares = hard_and_easy(rng, trajectories)
        lowest = min((by_chance(rng, squares) for _ in range(others)), key=np.sum)
        found += surely_larger(by_chance(rng, squares), lowest, others)
    assert found / 400 < 0.1


@pytest.mark.parametrize(("trajectories", "factor"), [(3, 10.0), (4, 3.0), (8, 1.7), (16, 1.4)])
def test_a_model_that_is_much_worse_is_found_out_by_few_trajectories(trajectories, factor):
    rng, found = np.random.default_rng(8), 0
    for _ in range(200):
        squares = hard_and_easy(rng, trajectories)
        found += surely_larger(factor**2 * by_chance(rng, squares), by_chance(rng, squares), others=4)
    assert found / 200 > 0.9


def test_the_deviation_is_that_of_leaving_out_each_trajectory_once():
    rng = np.random.default_rng(2)
    # one that outweighs all others beyond the precision of a sum
    mine, theirs = (np.append(hard_and_easy(rng, 5), 1e20) for _ in range(2))
    logs = [np.log(np.delete(mine, row).sum() / np.delete(theirs, row).sum()) for row in range(6)]
    assert error_ratio({"force": mine}, {"force": theirs}, FORCES).deviation == pytest.approx(np.sqrt(5) * np.std(logs))


def test_as_many_trajectories_as_a_given_holdout_may_have_take_little_memory_to_compare():
    squares = {"force": hard_and_easy(np.random.default_rng(3), MOST_MEASURED_ON)}
    tracemalloc.start()
    error_ratio(squares, squares, FORCES)
    assert tracemalloc.get_traced_memory()[1] < 2**23
    tracemalloc.stop()


def test_of_one_trajectory_nothing_is_sure():
    assert not surely_larger(np.array([100.0]), np.array([1.0]))


@pytest.mark.parametrize(
    ("force", "energy", "counting", "worse"),
    [
        (0.2, 1.15, ALL, False),
        (0.8, 10.0, ALL, True),
        (0.8, 10.0, FORCES, False),
        (1.1, 1.0, FORCES, True),
        (1.0, 1.1, ALL, True),
    ],
)
def test_what_is_lost_in_one_quantity_is_weighed_against_what_is_won_in_another(force, energy, counting, worse):
    rng = np.random.default_rng(0)
    before = {"force": hard_and_easy(rng, 8), "energy": hard_and_easy(rng, 8)}
    after = {"force": force**2 * by_chance(rng, before["force"], 0.05), "energy": energy**2 * before["energy"]}
    ratio = error_ratio(after, before, counting)
    assert ratio.surely_above(1.0, 4) == worse == (ratio.log > 0)


def test_a_quantity_counts_by_the_trajectories_that_have_it_for_both_models():
    force = np.ones(8)
    mine, theirs = (
        {"force": force, "virial": np.array(each)} for each in ([4, 4, 9, 9, 0, 0, 0, 0], [1, 1, 0, 0, 5, 5, 0, 0])
    )
    ratio = error_ratio(mine, theirs, ALL)
    assert ratio.log == pytest.approx(np.log(4)) and ratio.trajectories == 2
    of_forces = error_ratio(mine, theirs, FORCES)
    assert of_forces.log == 0 and of_forces.trajectories == 8
    for virial in (np.array([1, 0, 0, 0, 5, 5, 0, 0]), np.array([1, 1, 5, 5])):
        # earlier versions left out trajectories without one
        assert error_ratio(mine, {"force": force, "virial": virial}, ALL) == of_forces
    assert error_ratio(mine, {"force": force}, ALL) == of_forces


def test_the_standard_error_of_a_ratio_of_rmses_is_its_scatter():
    rng = np.random.default_rng(1)
    samples = [error_ratio({"force": by_chance(rng, theirs)}, {"force": theirs}, FORCES)
               for theirs in (hard_and_easy(rng, 12) for _ in range(400))]  # fmt: skip
    scatter = np.std([np.exp(each.log / 2) for each in samples])
    assert np.sqrt(np.mean([each.error_of_rmse_ratio**2 for each in samples])) == pytest.approx(scatter, rel=0.15)
    one = np.ones(1)
    assert error_ratio({"force": one}, {"force": 4 * one}, FORCES).error_of_rmse_ratio is None

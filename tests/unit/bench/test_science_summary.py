import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.science.points import ALL, Point, Target, first_that_holds, likely, read_points, schedule, target_of
from bench.science.summary import labels_needed, needed, ratio, summary


def point(method, labels, error, seed=0, hot=None):
    return Point(method, seed, labels, error, {"cold": error, "hot": hot or error}, seconds=1)


REFERENCE = [point(ALL, 100, 0.1, seed=0, hot=0.2), point(ALL, 100, 0.1, seed=1, hot=0.2)]


def test_numbers_of_labels_grow_to_the_whole_pool():
    assert schedule(2080) == [4, 8, 16, 32, 64, 128, 256, 512, 1024, 2080]
    assert schedule(2980)[-2:] == [2048, 2980]


@given(st.integers(0, 9), st.integers(0, 9))
def test_the_first_count_that_holds_is_found_from_any_guess(first, guess):
    counts = list(range(10))
    tried = []

    def holds(count):
        tried.append(count)
        return count >= first

    assert first_that_holds(counts, holds, guess) == first
    assert 9 not in tried or guess == 9
    # with the one before it known to miss
    assert first == 0 or first - 1 in tried
    assert len(tried) <= abs(first - guess) + 2


def test_a_guess_is_what_an_earlier_seed_needed():
    points = [*REFERENCE, point("ours", 32, 0.2), point("ours", 64, 0.1), point("ours", 128, 0.09, seed=1)]
    counts = [16, 32, 64, 128, 100]
    assert likely(points, "ours", "overall", counts) == 64
    assert likely(points, "random", "overall", counts) == 64


def test_the_target_follows_the_errors_with_all_labels():
    target = target_of(REFERENCE)
    assert target.overall == pytest.approx(0.12) and target.strata["hot"] == pytest.approx(0.24)
    found = target.excess(point("ours", 50, 0.06, hot=0.48))
    assert found == pytest.approx({"overall": 0.5, "every_stratum": 2.0}) and set(found) == set(Target.CRITERIA)


@pytest.mark.parametrize(
    ("excess", "labels"),
    [
        ({16: 2.0, 32: 2.0, 64: 0.5}, 45),  # half of the way in logarithms
        ({16: 2.0, 32: 1.0, 64: 0.5}, 32),
        ({16: 2.0, 32: 0.5, 64: 1.1}, 100),  # lost again: it was not reached
        ({16: 0.9, 32: 0.5}, 16),
        ({16: 2.0, 1024: 1.5}, 100),
    ],
)
def test_labels_are_counted_from_where_the_target_holds_to_the_end(excess, labels):
    assert labels_needed(excess, whole=100) == labels


def test_labels_are_counted_overall_and_for_the_worst_stratum():
    points = [*REFERENCE, point("ours", 16, 0.11, hot=0.48), point("ours", 32, 0.06, hot=0.12)]
    assert needed(points, 100) == {"overall": {"ours": {0: 16}}, "every_stratum": {"ours": {0: 23}}}
    told = summary([*points, point("random", 16, 0.3)], 100)
    assert told["error_with_fewest_over_all"] == pytest.approx(3.0)
    assert told["labels_to_target"]["every_stratum"]["random"]["mean"] == 100


def test_a_ratio_is_paired_by_seed_and_averaged_over_pools():
    pools = [{"ours": {0: 10, 1: 20}, "random": {0: 100, 1: 200, 2: 7}}, {"ours": {0: 30}, "random": {0: 100}}]
    found = ratio(pools, "ours", "random")
    assert found["mean"] == pytest.approx(0.2)
    assert found["ci95"] == pytest.approx([0.2, 0.2])
    assert ratio(pools, "ours", "quests") is None


def test_points_come_back_from_a_file(tmp_path):
    points = [point("ours", 16, 0.1), dataclasses.replace(point("ours", 32, 0.05, seed=1, hot=0.2), added=[7, 3])]
    path = tmp_path / "points.jsonl"
    assert read_points(path) == []
    path.write_text("".join(f"{json.dumps(dataclasses.asdict(each))}\n" for each in points))
    assert [dataclasses.asdict(each) for each in read_points(path)] == [
        {**dataclasses.asdict(each), "added": list(each.added)} for each in points
    ]

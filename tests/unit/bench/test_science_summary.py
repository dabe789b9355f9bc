import dataclasses
import json

import pytest

from tests.bench.science.points import ALL, Point, Target, read_points, schedule, target_of
from tests.bench.science.summary import labels_needed, needed, ratio, summary


def point(method, labels, error, seed=0, hot=None):
    return Point(method, seed, labels, error, {"cold": error, "hot": hot or error}, seconds=1)


REFERENCE = [point(ALL, 100, 0.1, seed=0, hot=0.2), point(ALL, 100, 0.1, seed=1, hot=0.2)]


def test_numbers_of_labels_grow_to_the_whole_pool():
    assert schedule(2080) == [4, 8, 16, 32, 64, 128, 256, 512, 1024, 2080]
    assert schedule(2980)[-2:] == [2048, 2980]


def test_the_target_follows_the_errors_with_all_labels():
    target = target_of(REFERENCE)
    assert target.overall == pytest.approx(0.12) and target.strata["hot"] == pytest.approx(0.24)
    found = target.excess(point("ours", 50, 0.06, hot=0.48))
    assert found == pytest.approx({"overall": 0.5, "every_stratum": 2.0}) and set(found) == set(Target.CRITERIA)


@pytest.mark.parametrize(
    ("excess", "labels"),
    [
        ({8: 2.0, 16: 2.0, 32: 0.5}, 23),  # half of the way in logarithms
        ({8: 2.0, 16: 1.0, 32: 0.5}, 16),
        ({8: 2.0, 16: 0.5, 32: 1.1}, 11),  # nobody goes on after it held
        ({4: 0.9, 8: 0.5}, 4),
        ({4: 2.0, 8: 1.9, 16: 1.8, 32: 1.7, 64: 1.5}, 100),
        ({4: 2.0}, None),  # not searched to the end
    ],
)
def test_labels_are_counted_up_to_where_the_target_first_holds(excess, labels):
    assert labels_needed(excess, whole=100) == labels


def test_labels_are_counted_overall_and_for_the_worst_stratum():
    points = [*REFERENCE, point("ours", 16, 0.11, hot=0.48), point("ours", 32, 0.06, hot=0.12)]
    assert needed(points, 100) == {"overall": {"ours": {0: 16}}, "every_stratum": {"ours": {0: 23}}}
    begun = [point("random", 4, 0.3), point("random", 4, 0.2, seed=1), point("random", 64, 0.3)]
    told = summary([*points, *begun], 100)
    assert told["error_with_fewest_over_all"] == pytest.approx(2.5)
    # its second seed has only begun
    assert told["labels_to_target"]["every_stratum"]["random"] == {"mean": 100, "ci95": None, "seeds": 1}


def test_a_ratio_is_paired_by_seed_and_averaged_over_pools():
    first = {"ours": {0: 10, 1: 20}, "random": {0: 100, 1: 200, 2: 7}}
    pools = [first, {"ours": {0: 30, 1: 3}, "random": {0: 100, 1: 10}}]
    found = ratio(pools, "ours", "random")
    assert found["mean"] == pytest.approx(0.2)
    assert found["ci95"] == pytest.approx([0.2, 0.2])
    assert ratio([{"ours": {0: 30}, "random": {0: 100}}], "ours", "random")["ci95"] is None
    assert ratio(pools, "ours", "quests") is None


def test_points_come_back_from_a_file(tmp_path):
    points = [point("ours", 16, 0.1), dataclasses.replace(point("ours", 32, 0.05, seed=1, hot=0.2), added=[7, 3])]
    path = tmp_path / "points.jsonl"
    assert read_points(path) == []
    path.write_text("".join(f"{json.dumps(dataclasses.asdict(each))}\n" for each in points))
    assert [dataclasses.asdict(each) for each in read_points(path)] == [
        {**dataclasses.asdict(each), "added": list(each.added)} for each in points
    ]

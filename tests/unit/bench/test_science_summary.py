import dataclasses
import json

import pytest

from tests.bench.science.conditions import TRAINING, conditions
from tests.bench.science.points import ALL, METHODS, Point, Target, read_points, schedule, target_of
from tests.bench.science.summary import Needed, labels_needed, needed, ratio, summary


def ended(*labels):
    return {seed: Needed(number) for seed, number in enumerate(labels)}


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
        ({8: 2.0, 16: 2.0, 32: 0.5}, Needed(23)),  # half of the way in logarithms
        ({8: 2.0, 16: 1.0, 32: 0.5}, Needed(16)),
        ({8: 2.0, 16: 0.5, 32: 1.1}, Needed(11)),  # nobody goes on after it held
        ({4: 0.9, 8: 0.5}, Needed(4)),
        ({4: 2.0, 8: 1.9, 16: 1.8, 32: 1.7, 64: 1.5}, Needed(100)),
        ({4: 2.0}, Needed(4, ended=False)),
    ],
)
def test_labels_are_counted_up_to_where_the_target_first_holds(excess, labels):
    assert labels_needed(excess, whole=100) == labels


def test_labels_are_counted_overall_and_for_the_worst_stratum():
    points = [*REFERENCE, point("ours", 16, 0.11, hot=0.48), point("ours", 32, 0.06, hot=0.12)]
    assert needed(points, 100) == {"overall": {"ours": {0: Needed(16)}}, "every_stratum": {"ours": {0: Needed(23)}}}
    begun = [point("random", 4, 0.3), point("random", 4, 0.2, seed=1), point("random", 64, 0.3)]
    told = summary([*points, *begun], 100)
    assert told["error_with_fewest_over_all"] == pytest.approx(2.5)
    found = told["labels_to_target"]["every_stratum"]
    # its second seed has only begun
    assert found["random"] == {"mean": 52, "ci95": [4, 100], "seeds": 2, "at_least": True}
    assert set(found) == set(METHODS)
    assert found["quests"] == {"mean": None, "ci95": None, "seeds": 0, "at_least": False}


def test_a_ratio_is_paired_by_seed_and_averaged_over_pools():
    first = {"ours": ended(10, 20), "random": ended(100, 200, 7)}
    pools = [first, {"ours": ended(30, 3), "random": ended(100, 10)}]
    found = ratio(pools, "ours", "random")
    assert found["mean"] == pytest.approx(0.2)
    assert found["ci95"] == pytest.approx([0.2, 0.2]) and not found["at_most"]
    assert ratio([{"ours": ended(30), "random": ended(100)}], "ours", "random")["ci95"] is None
    assert ratio(pools, "ours", "quests") is None


def test_a_search_that_has_not_ended_flatters_nobody():
    begun = {0: Needed(64, ended=False)}
    assert ratio([{"ours": begun, "random": ended(100)}], "ours", "random") is None
    assert ratio([{"ours": ended(16), "quests": begun}], "ours", "quests") == {
        "mean": 0.25, "ci95": None, "at_most": True,
    }  # fmt: skip
    only_begun = {0: Needed(400), 1: Needed(8, ended=False)}
    assert ratio([{"ours": ended(16, 20), "quests": only_begun}], "ours", "quests")["mean"] == pytest.approx(0.04)


def test_points_come_back_from_a_file(tmp_path):
    later = dataclasses.replace(point("ours", 32, 0.05, seed=1, hot=0.2), added=[7, 3], conditions="a")
    points = [point("ours", 16, 0.1), later]
    path = tmp_path / "points.jsonl"
    assert read_points(path, "a") == []
    path.write_text("".join(f"{json.dumps(dataclasses.asdict(each))}\n" for each in points))
    assert read_points(path, "a") == [later] and read_points(path, "b") == []


def test_other_settings_are_other_conditions(monkeypatch):
    before = conditions()
    assert conditions() == before
    monkeypatch.setattr("tests.bench.science.conditions.TRAINING", TRAINING.model_copy(update={"steps": 4000}))
    assert conditions() != before

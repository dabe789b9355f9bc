import json

import pytest

from pfd_operator.contract.outcome import ExplorationCounts
from pfd_worker import stage_files
from pfd_worker.report.history import History, IterationRecord
from tests.unit.worker.report.samples import cost_of_sample


def record(iteration: int, labels: int = 10) -> IterationRecord:
    errors = {"holdout": {"forceRmse": 0.1}}
    return IterationRecord(iteration, labels, 6, None, errors, None, ExplorationCounts(), cost_of_sample(iteration, 3))


def test_it_grows_and_keeps_the_baselines_of_iteration_zero():
    history = History().extended(record(0), {"pretrained": {"forceRmse": 0.5}, "holdout": {}})
    history = history.extended(record(1, 20), {"holdout": {}, "prequential": {}})
    assert history.baselines == {"pretrained": {"forceRmse": 0.5}}
    assert [r.training_labels for r in history.iterations] == [10, 20]
    assert history.last.iteration == 1 and history.record(0) == record(0) and history.record(None) is None


def test_an_iteration_that_is_run_again_replaces_what_was_from_there_on():
    history = History().extended(record(0), {}).extended(record(1), {}).extended(record(2), {})
    again = history.extended(record(1, 99), {})
    assert [(r.iteration, r.training_labels) for r in again.iterations] == [(0, 10), (1, 99)]


def test_it_comes_back_from_its_file(tmp_path):
    history = History().extended(record(0), {"shifted": {"forceRmse": 0.5}}).extended(record(1), {})
    history.write(tmp_path / stage_files.HISTORY)
    assert History.from_json(json.loads((tmp_path / stage_files.HISTORY).read_text())) == history


def test_another_version_is_refused_in_words():
    with pytest.raises(ValueError, match=r"version 9.*another version of the worker image"):
        History.from_json({"version": 9, "baselines": {}, "iterations": []})

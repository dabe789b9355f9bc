"""A round whose labels hold nothing to measure a model on."""

import pytest

from pfd_operator.contract.result import ExitCode, Reason
from pfd_worker.errors import StageError
from pfd_worker.rounds.course import run_round
from tests.unit.worker.rounds.prepared import UntrainedRound, prepared, round_of, selected
from tests.unit.worker.stages.loop import LABEL, Loop


def test_no_holdout_label_left_is_told_to_the_user(tmp_path):
    loop = Loop(tmp_path)
    prepare, select = prepared(loop), selected(loop)
    label = loop.indexed(LABEL, 0, {"select": select}, 1)
    begun = round_of(loop, 0, {"prepare": prepare, "select": select, "label": label}, UntrainedRound)
    with pytest.raises(StageError, match=r"no hold-out frame has a label.*failures\.json") as caught:
        run_round(begun)
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.USER_ERROR, Reason.LABELS_FAILED)

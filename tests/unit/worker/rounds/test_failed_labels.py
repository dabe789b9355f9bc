"""How many calculations may fail: of the hold-out, and of all others."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ase import Atoms

from pfd_operator.contract.result import CautionReason, ExitCode, Reason
from pfd_operator.contract.selection import NOISE
from pfd_worker.errors import StageError
from pfd_worker.rounds.holdout import holdout_labels, shrunk_holdout
from pfd_worker.rounds.labels import collect_labels
from pfd_worker.stage_context import StageContext
from tests.unit.worker.stages.label_tasks import crystals
from tests.unit.worker.stages.loop import LABEL, TRAIN, Loop, aimd, labels_here, single_point

FAILS = "Si"


def train_context(loop: Loop, holdout: str, training: str, checked: str = "") -> StageContext:
    """Label these elements, of which EMT does not know silicon, and one trajectory of copper."""
    elements = [*holdout.split(), *training.split(), *checked.split()]
    tasks = [single_point(number) for number in range(len(elements))]
    for number in range(len(elements) - len(checked.split()), len(elements)):
        tasks[number] = replace(tasks[number], purpose=NOISE)
    of_holdout = len(holdout.split())
    tasks[:of_holdout] = [replace(task, purpose="hold-out") for task in tasks[:of_holdout]]
    frames: list[Atoms] = crystals(*elements, "Cu")
    select = loop.selected(frames, [*tasks, aimd(len(elements), steps=3)], 0)
    with labels_here():
        label = loop.indexed(LABEL, 0, {"select": select}, 1)
    (loop.folder / "train").mkdir()
    return StageContext(loop.spec(TRAIN, 0, {"select": select, "label": label}), loop.store, loop.folder / "train")


def test_the_hold_out_alone_may_not_lack_more_than_the_fraction(tmp_path):
    context = train_context(Loop(tmp_path), f"Cu Cu {FAILS} {FAILS}", "Cu Cu Cu Cu Cu Cu Cu")
    with pytest.raises(StageError, match=r"2 of 4 reference calculations of the hold-out have failed") as caught:
        collect_labels(context, 0.2)
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.USER_ERROR, Reason.LABELS_FAILED)
    assert "(failed: AIMD 0 of 1, hold-out 2 of 4, training 0 of 7)" in caught.value.message
    labels = collect_labels(context, 0.5)
    caution = shrunk_holdout(context, holdout_labels(context, labels, 0.5))
    assert caution is not None
    assert caution.reason is CautionReason.HOLD_OUT_SHRUNK
    assert caution.message.startswith("2 of 4 frames of the hold-out have a label")


def test_failures_of_other_calculations_are_counted_together(tmp_path):
    context = train_context(Loop(tmp_path), "Cu Cu Cu Cu", f"Cu {FAILS}")
    with pytest.raises(StageError, match=r"1 of 3 reference calculations have failed"):
        collect_labels(context, 0.3)
    labels = collect_labels(context, 0.4)
    assert len(labels) == 4 + 1 + 3
    assert shrunk_holdout(context, holdout_labels(context, labels, 0.4)) is None


@pytest.mark.parametrize("iteration", [0, 1])
def test_checks_of_labels_that_are_trained_on_end_no_job(tmp_path, iteration):
    context = train_context(Loop(tmp_path), "Cu" if iteration == 0 else "", "Cu Cu", checked=FAILS)
    if iteration == 0:
        with pytest.raises(StageError, match=r"1 of 4 reference calculations have failed"):
            collect_labels(context, 0.2)
    else:
        assert len(collect_labels(context, 0.2)) == 2 + 3

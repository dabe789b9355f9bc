"""A round that lacks labels: what it says, and what is computed again when its label stage is asked for anew."""

from collections.abc import Sequence
from contextlib import nullcontext

import pytest
from ase.calculators.emt import EMT

from pfd_operator.contract.outcome import LabelOutcome
from pfd_operator.contract.result import Reason
from pfd_operator.contract.stage import StageRef
from pfd_worker.errors import StageError
from pfd_worker.labelers.base import Verdict
from pfd_worker.labelers.in_process import AseLabeler
from pfd_worker.rounds.labels import collect_labels
from pfd_worker.stage_context import StageContext
from tests.unit.worker.stages.label_tasks import counts, select
from tests.unit.worker.stages.loop import LABEL, TRAIN, Loop


class EndsIn:
    """A labeler that ends in these ways, one after another, and then well."""

    def __init__(self, reasons: Sequence[str]) -> None:
        self.reasons = list(reasons)

    def compute(self, task):
        reason = self.reasons.pop(0) if self.reasons else ""
        return Verdict(reason=reason, message=f"{reason} in words") if reason else AseLabeler(EMT).compute(task)


@pytest.fixture
def loop(tmp_path) -> Loop:
    return Loop(tmp_path)


@pytest.fixture
def ends(monkeypatch):
    def made(*reasons: str) -> EndsIn:
        labeler = EndsIn(reasons)
        monkeypatch.setattr("pfd_worker.stages.label.limited_labeler", lambda *given: nullcontext(labeler))
        return labeler

    return made


def asked(loop: Loop, pods: int = 2) -> dict[str, StageRef]:
    """Run the label stage of four single points as a restart would, two to a pod; return what a training reads."""
    selected = select(loop, ("Cu",) * 4, trajectory=False)
    labels = loop.indexed(LABEL | {"framesPerPod": 2}, 1, {"select": selected}, pods)
    return {"select": selected, "label": labels.model_copy(update={"completions": 2})}


def train(loop: Loop, refs: dict[str, StageRef], allowed: float = 0.2) -> int:
    loop.runs += 1
    folder = loop.folder / f"train-{loop.runs}"
    folder.mkdir()
    return len(collect_labels(StageContext(loop.spec(TRAIN, 1, refs), loop.store, folder), allowed))


def again(loop: Loop, refs: dict[str, StageRef]) -> list[LabelOutcome]:
    results = [loop.run(LABEL | {"framesPerPod": 2}, 1, {"select": refs["select"]}, index) for index in range(2)]
    return [result.outcome for result in results]


def test_failures_are_counted_by_reason_with_what_to_do(loop, ends):
    ends("EngineError", "TimedOut", "EngineError", "ScfNotConverged")
    with pytest.raises(StageError) as caught:
        train(loop, asked(loop))
    assert caught.value.reason is Reason.LABELS_FAILED
    words = str(caught.value)
    assert "4 of 4 reference calculations have failed" in words
    assert ": 2 EngineError, 1 TimedOut, 1 ScfNotConverged. " in words
    assert "spec.restart with fromIteration 1 and a new id, here with a larger spec.labeling.timeoutSeconds" in words
    assert "those that are not ScfNotConverged are computed once more" in words
    assert words.endswith("The last failure:\nScfNotConverged in words")


def test_pods_without_a_verdict_are_counted_too(loop, ends):
    ends()
    with pytest.raises(StageError, match=r": 2 without a verdict, their pods failed\. Remove the cause") as caught:
        train(loop, asked(loop, pods=1))
    assert "timeoutSeconds" not in str(caught.value)


def test_what_would_fail_again_is_not_advised_to_be_tried_again(loop, ends):
    ends("ScfNotConverged")
    refs = asked(loop)
    with pytest.raises(
        StageError, match=r"1 of 4 .* not tried again: allow for more in spec\.labeling\.maxFailedFract"
    ):
        train(loop, refs)
    assert again(loop, refs) == [LabelOutcome(failed=1, reused=0), LabelOutcome(failed=0, reused=0)]
    assert counts(loop) == {"paid": 4, "reused": 0, "failed": 1, "wasted": 0}


def test_a_label_stage_that_failed_a_job_computes_again_what_may_succeed_and_pays_for_nothing_else(loop, ends):
    labeler = ends("EngineError", "ScfNotConverged")
    refs = asked(loop)
    with pytest.raises(StageError):
        train(loop, refs)
    labeler.reasons = ["EngineKilled"]
    assert again(loop, refs)[0] == LabelOutcome(failed=2, reused=0), "and may fail again"
    assert counts(loop) == {"paid": 5, "reused": 0, "failed": 3, "wasted": 0}
    assert again(loop, refs)[0] == LabelOutcome(failed=2, reused=0), "found done until a training failed"
    with pytest.raises(StageError):
        train(loop, refs)
    assert again(loop, refs) == [LabelOutcome(failed=1, reused=0), LabelOutcome(failed=0, reused=0)]
    assert counts(loop) == {"paid": 6, "reused": 0, "failed": 3, "wasted": 0}
    assert train(loop, refs, 0.3) == 3


def test_whoever_allows_for_more_failures_goes_on_with_the_labels_that_there_are(loop, ends):
    ends("EngineError")
    refs = asked(loop)
    with pytest.raises(StageError):
        train(loop, refs)
    assert train(loop, refs, 0.3) == 3

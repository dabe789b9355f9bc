"""Students that go back: to a new verdict, to their hold-out, or to the start with their teacher as it is then."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pfd_operator.api.conditions import Phase
from pfd_operator.api.status import KEPT_RECORDS, DistillJobStatus
from pfd_operator.contract.result import ExitCode, Reason, StageResult
from pfd_operator.contract.selection import Apart
from pfd_operator.contract.stage import Input, PrepareParams, StageKind
from pfd_operator.plan.observed import ObservedTeacher
from tests.unit.operator.plan.plan_samples import (
    OTHER_TEACHER,
    TEACHER,
    Run,
    created,
    distill_resource,
    failed_pod,
    job_of,
)
from tests.unit.operator.plan.redone_samples import restart


def test_a_judged_student_is_judged_again() -> None:
    run = Run(distill_resource())
    run.to_the_end()
    run.edit(acceptance={"forceRMSE": 0.07, "speedup": 6}, **restart(1))
    run.step()
    status = run.status
    assert isinstance(status, DistillJobStatus)
    assert (status.acceptance, status.speedup, status.measured) == ([], "", [])
    status = run.to_the_end()
    assert isinstance(status, DistillJobStatus)
    assert status.phase is Phase.CONVERGED
    assert status.acceptance


@pytest.mark.parametrize(
    ("teacher", "taken", "named"),
    [
        (OTHER_TEACHER, OTHER_TEACHER, "with the model of iteration 2 of FineTuneJob silicon: it ended as Converged"),
        (None, TEACHER, "keeps the teacher that it had, since a new job could not begin: waits for the teacher: there"),
        (replace(OTHER_TEACHER, phase=Phase.RUNNING), TEACHER, "FineTuneJob silicon has not ended"),
        (replace(OTHER_TEACHER, phase=Phase.CANCELLED), TEACHER, "FineTuneJob silicon was stopped before its end"),
        (replace(OTHER_TEACHER, apart=Apart.STRUCTURES), TEACHER, "but that of the teacher, FineTuneJob silicon"),
    ],
    ids=["gone on", "deleted", "runs again", "stopped", "with other starts"],
)
def test_a_student_begins_anew_with_its_teacher_as_it_is_now_if_that_can_be_had(
    teacher: ObservedTeacher | None, taken: ObservedTeacher, named: str
) -> None:
    run = Run(distill_resource())
    run.to_the_end()
    run.teacher = teacher
    run.edit(**restart(1))
    run.step()
    assert isinstance(run.status, DistillJobStatus) and run.status.teacher == TEACHER.record
    run.to_the_end()
    run.edit(**restart(0, "anew"))
    prepare = created(run.step()).spec.params
    assert isinstance(prepare, PrepareParams) and prepare.model is not None and taken.record is not None
    assert (run.status.teacher, prepare.model.uri) == (taken.record, taken.record.model_uri)
    (told,) = [event for event in run.decision.events if event.reason == "Restarted"]
    assert named in told.message and ("keeps the teacher" in told.message) is (taken is not teacher)
    assert run.to_the_end().phase is Phase.CONVERGED


def long_distillation() -> Run:
    """A student whose fifth training has failed: more stages have ended than are kept."""
    run = Run(distill_resource(acceptance={"forceRMSE": 1e-6}, budget={"maxIterations": 8, "maxLabels": 1000}))
    train = run.until(5, StageKind.TRAIN)
    refused = StageResult(ok=False, reason=Reason.TRAINING_FAILED, message="out of patience")
    run.step(job_of(train, failed_pod(ExitCode.USER_ERROR, result=refused)), seconds=1)
    assert run.status.phase is Phase.FAILED
    return run


def test_a_student_of_any_age_begins_its_rounds_again_with_the_hold_out_it_has() -> None:
    run = long_distillation()
    digests = {record.stage: record.digest for record in run.status.stages if record.iteration == 0}
    run.edit(**restart(1))
    run.step(seconds=1)
    inputs = run.until(1, StageKind.TRAIN).spec.inputs
    assert inputs[Input.HOLD_OUT].digest == digests[StageKind.LABEL]
    assert inputs[Input.HOLD_OUT_SELECT].digest == digests[StageKind.SELECT]


def test_a_student_whose_hold_out_is_on_record_no_longer_can_begin_with_another_one() -> None:
    """As an earlier version left it."""
    run = long_distillation()
    run.status = run.status.model_copy(update={"stages": run.status.stages[-KEPT_RECORDS:]})
    assert run.status.stages[0].iteration == 0
    run.edit(**restart(1))
    (told,) = run.step(seconds=1).events
    assert told.reason == "RestartRefused" and "from 0, 2, 3, 4, 5 only" in told.message

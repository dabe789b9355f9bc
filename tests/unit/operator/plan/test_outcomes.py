"""What stages found as the planner takes it: by the kind of stage, and not at all where it is not told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pfd_operator.api.conditions import ConditionType, Phase
from pfd_operator.api.finetune import FineTuneJobSpec
from pfd_operator.api.status import FineTuneJobStatus
from pfd_operator.contract.outcome import LabelOutcome, SelectOutcome, TrainOutcome
from pfd_operator.contract.result import StageResult
from pfd_operator.contract.stage import StageKind, StageSpec
from pfd_operator.plan.failures import Failure
from pfd_operator.plan.finetune import FINE_TUNE
from pfd_operator.plan.jobs import Success
from pfd_operator.plan.outcome import found_by
from pfd_operator.plan.recipe import Position
from tests.unit.operator.plan.plan_answers import Answer, good_result, talkative_result
from tests.unit.operator.plan.plan_samples import (
    Run,
    condition,
    created,
    distill_resource,
    end_as_seen,
    failed_pod,
    job_of,
    pod,
    resource,
    succeeded,
)


def untold(spec: StageSpec, reused: bool = False) -> StageResult:
    """What a worker of an earlier version says."""
    return good_result(spec, reused).model_copy(update={"outcome": None})


def of_another_stage(spec: StageSpec, reused: bool = False) -> StageResult:
    return good_result(spec, reused).model_copy(update={"outcome": LabelOutcome(failed=0, reused=0)})


@pytest.mark.parametrize("answer", [untold, of_another_stage])
@pytest.mark.parametrize("stage", [StageKind.PREPARE, StageKind.SELECT, StageKind.TRAIN, StageKind.ACCEPT])
def test_a_stage_that_does_not_tell_what_it_found_is_tried_again(stage: StageKind, answer: Answer) -> None:
    distills = stage is StageKind.ACCEPT
    run = Run(distill_resource() if distills else resource())
    planned = run.until(2 if distills else 0, stage)
    for attempt in (1, 2, 3):
        assert (planned.spec.stage, planned.spec.attempt) == (stage, attempt)
        ended = succeeded(planned, answer)
        run.step(ended)
        if attempt < 3:
            planned = created(run.step(ended, seconds=100))
    ready = condition(run.status, ConditionType.READY)
    assert (run.status.phase, ready.reason) == (Phase.FAILED, "AttemptsExhausted")
    assert "its result does not say what the stage found: its image is of an earlier version" in ready.message


@pytest.mark.parametrize("stage", [StageKind.EXPLORE, StageKind.LABEL])
def test_a_stage_of_many_pods_goes_on_without_what_they_found(stage: StageKind) -> None:
    run = Run()
    planned = run.until(0, stage)
    run.step(succeeded(planned, untold), seconds=1)
    assert created(run.decision).spec.stage is not stage


def test_pods_of_another_stage_say_nothing() -> None:
    planned = Run().until(0, StageKind.EXPLORE)
    ended = end_as_seen(succeeded(planned, of_another_stage))
    assert isinstance(ended, Failure) and "an earlier version than the operator" in ended.message
    result = untold(planned.spec)
    assert end_as_seen(succeeded(planned, untold)) == Success(planned.spec.digest, (result, result))


def test_nothing_is_found_by_no_pod_or_by_a_stage_of_another_kind() -> None:
    run = Run()
    selected = good_result(run.until(1, StageKind.SELECT).spec)
    spec, status = run.resource.spec, run.status
    assert isinstance(spec, FineTuneJobSpec) and isinstance(status, FineTuneJobStatus)
    for stage in StageKind:
        for results in ([], [StageResult(ok=True)]):
            assert FINE_TUNE.take(spec, status, Position(1, stage), results) == status
    assert found_by([selected], TrainOutcome) is None
    assert found_by([selected], SelectOutcome) is selected.outcome


def test_the_status_counts_what_is_read_and_keeps_what_others_counted() -> None:
    run = Run()
    run.answer = talkative_result
    run.status = run.status.model_copy(update={"counts": {"tasks": 9, "candidates": 7}})
    run.to_the_end()
    read = {"tasks": 3, "labels_left": 31, "training_structures": 2}
    assert run.status.counts == {"candidates": 7, **read}


def test_a_job_in_flight_goes_on_by_what_an_earlier_operator_counted() -> None:
    run = Run()
    planned = run.until(0, StageKind.LABEL)
    assert planned.completions == 3
    before = {"tasks": 5, "labels": 6, "candidates": 60, "trajectories": 4}
    run.status = run.status.model_copy(update={"counts": before})
    lost = job_of(planned, failed_pod(137, disrupted=True), finished="Failed", failed_indexes=3)
    run.step(lost)
    again = created(run.step(lost, seconds=100))
    assert (again.spec.stage, again.completions) == (StageKind.LABEL, 3)
    assert run.step(job_of(again, replace(pod(), index=0))).actions == ()

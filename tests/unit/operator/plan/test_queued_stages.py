"""Jobs that wait in a queue, are admitted and preempted: said in words, taken for no failure, and paid for."""

from __future__ import annotations

from dataclasses import replace

from pfd_operator.api.conditions import ConditionType, Phase
from pfd_operator.api.status import ActiveState
from pfd_operator.contract.result import ExitCode, Reason, StageResult
from pfd_operator.contract.stage import StageKind
from tests.unit.operator.plan.plan_samples import (
    GPU,
    START,
    Run,
    after,
    condition,
    created,
    failed_pod,
    job_of,
    pod,
    resource,
    succeeded,
)

QUEUE = {"queue": {"name": "gpus"}}


def test_a_queued_stage_says_what_it_waits_for_and_is_not_stuck() -> None:
    run = Run(resource(**QUEUE))
    planned = created(run.step())
    queued = job_of(planned, suspended=True)
    run.step(queued)
    run.step(queued, seconds=3600)
    progressing = condition(run.status, ConditionType.PROGRESSING)
    assert (progressing.status, progressing.reason) == ("False", "Queued")
    assert progressing.message == "prepare waits for queue gpus (spec.queue)"
    assert (run.status.phase, run.status.progress) == (Phase.RUNNING, "queued")
    assert condition(run.status, ConditionType.STUCK).status == "False"
    # its pods may take as long to come as those of a new Job, counted from the admission
    run.step(replace(queued, suspended=False, released_at=after(3600)), seconds=1)
    assert condition(run.status, ConditionType.STUCK).status == "False"
    assert condition(run.status, ConditionType.PROGRESSING).reason == "StageRunning"
    assert run.status.progress == ""


def test_who_suspends_a_job_without_a_queue_is_told() -> None:
    run = Run()
    run.step(job_of(created(run.step()), suspended=True))
    assert "Job.spec.suspend" in condition(run.status, ConditionType.PROGRESSING).message


def test_a_preempted_pod_is_tried_again_for_free() -> None:
    """The Job controller fails a Job whose pod ended by SIGTERM, suspended or not."""
    run = Run(resource(**QUEUE))
    planned = created(run.step())
    stopped = StageResult(ok=False, reason=Reason.PREEMPTED, message="stopped by SIGTERM at step 500")
    ended = failed_pod(int(ExitCode.PREEMPTED), result=stopped)
    run.step(job_of(planned, ended, suspended=True, finished="Failed"))
    again = created(run.step(seconds=10))
    assert run.status.active is not None
    assert (again.spec.attempt, run.status.active.counted_failures) == (2, 0)


def test_a_pod_that_never_started_leaves_the_job_waiting() -> None:
    run = Run(resource(**QUEUE))
    planned = created(run.step())
    run.step(job_of(planned, pod("Pending", started_at=None)))
    decision = run.step(job_of(planned, suspended=True), seconds=5)
    assert decision.actions == ()
    assert run.status.active is not None
    assert run.status.active.state is ActiveState.CREATED


def test_time_of_pods_that_are_gone_is_paid_for() -> None:
    run = Run(resource(**QUEUE, pods={"train": GPU}, budget={"maxIterations": 4, "maxLabels": 40, "gpuHours": 1}))
    planned = run.until(0, StageKind.TRAIN)
    run.step(job_of(planned, gone_pods_seconds=600, suspended=True))
    done = replace(succeeded(planned), gone_pods_seconds=600)
    run.step(replace(done, pods=tuple(replace(each, started_at=START, finished_at=after(60)) for each in done.pods)))
    assert run.status.gpu_seconds == 660

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


AN_HOUR = {"budget": {"deadlineHours": 1}}


def test_the_deadline_stands_still_while_a_job_is_in_its_queue() -> None:
    run = Run(resource(**QUEUE, **AN_HOUR))
    planned = created(run.step())
    assert planned.active_deadline_seconds == 3600
    queued = job_of(planned, suspended=True, suspended_at=START)
    run.step(queued)
    assert run.step(queued, seconds=7200).requeue_after_seconds is None
    assert run.status.phase is Phase.RUNNING
    running = job_of(planned, pod(started_at=after(7300)), released_at=after(7300))
    assert run.step(running, seconds=110).requeue_after_seconds == 3590
    assert (run.status.suspended_at, run.status.suspended_seconds) == (None, 7300)
    # preempted before its pod ran, and admitted again while no operator watched
    run.step(replace(queued, suspended_at=after(8000), released_at=after(7300)), seconds=700)
    run.step(replace(running, released_at=after(9000)), seconds=5000)
    assert run.status.suspended_seconds == 7300 + 1000
    assert run.status.phase is Phase.BUDGET_EXHAUSTED
    assert condition(run.status, ConditionType.READY).reason == "DeadlineExceeded"


def test_a_wait_that_nobody_watched_is_known_by_the_times_of_the_job() -> None:
    run = Run(resource(**QUEUE, **AN_HOUR))
    planned = created(run.step())
    run.step(job_of(planned, pod(started_at=after(5000)), released_at=after(5000)), seconds=6000)
    assert (run.status.phase, run.status.suspended_seconds) == (Phase.RUNNING, 5000)


def test_an_admission_whose_time_is_not_there_yet_is_one_of_now() -> None:
    run = Run(resource(**QUEUE, **AN_HOUR))
    planned = created(run.step())
    run.step(job_of(planned, suspended=True, suspended_at=START, released_at=START))
    run.step(job_of(planned, suspended=True, suspended_at=after(100), released_at=after(50)), seconds=100)
    run.step(job_of(planned), seconds=20)
    assert run.status.suspended_seconds == 120


def test_a_job_that_is_suspended_while_it_is_in_its_queue_counts_neither_time_twice() -> None:
    run = Run(resource(**QUEUE, **AN_HOUR))
    queued = job_of(created(run.step()), suspended=True, suspended_at=START)
    run.step(queued)
    run.edit(suspend=True)
    run.step(queued, seconds=100)
    run.step(seconds=1000)
    assert (run.status.phase, run.status.suspended_at) == (Phase.SUSPENDED, after(100))
    run.edit(suspend=False)
    again = created(run.step(seconds=1000))
    assert (run.status.suspended_seconds, again.active_deadline_seconds) == (2100, 3600)


def test_a_job_seen_late_does_not_end_what_the_user_has_suspended() -> None:
    run = Run(resource(**QUEUE, **AN_HOUR))
    planned = created(run.step())
    run.edit(suspend=True)
    run.step(seconds=10)
    run.step(job_of(planned, pod(), released_at=after(5)), seconds=10)
    assert (run.status.phase, run.status.suspended_at) == (Phase.SUSPENDED, after(10))


def test_a_wait_that_ends_with_its_attempt_is_counted() -> None:
    run = Run(resource(**QUEUE, **AN_HOUR))
    queued = job_of(created(run.step()), suspended=True, suspended_at=START)
    run.step(queued)
    run.edit(queue={"name": "others"})
    run.step(queued, seconds=500)
    assert (run.status.suspended_at, run.status.suspended_seconds) == (None, 500)

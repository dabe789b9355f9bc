"""Which failures of a stage are counted, from which on, and that an outage of the object store is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pfd_operator.api.conditions import ConditionType, Phase
from pfd_operator.api.status import ActiveState
from pfd_operator.contract.result import Progress, Reason
from pfd_operator.contract.stage import StageKind
from pfd_operator.plan.observed import ObservedJob
from pfd_operator.plan.stuck import STORE_REACHED_AFTER_SECONDS
from pfd_operator.plan.types import PlannedJob
from tests.unit.operator.plan.plan_samples import (
    SETTINGS,
    Run,
    after,
    condition,
    created,
    failed_pod,
    job_of,
    pod,
    resource,
    said,
    succeeded,
)


def test_a_store_that_was_never_reached_may_have_a_wrong_address_and_failures_end_the_job() -> None:
    run = Run()
    planned = run.until(0, StageKind.PREPARE)
    waits = []
    for attempt in (1, 2):
        assert planned.spec.attempt == attempt
        failed = job_of(planned, failed_pod(75, result=said(Reason.STORE_UNAVAILABLE, "no answer")))
        decision = run.step(failed)
        assert run.status.active is not None
        assert run.status.active.state is ActiveState.BACKOFF
        assert decision.requeue_after_seconds is not None
        waits.append(decision.requeue_after_seconds)
        assert run.step(failed, seconds=waits[-1] - 1).actions == ()
        planned = created(run.step(failed, seconds=1))
    assert waits == [10, 20]
    run.step(job_of(planned, failed_pod(75, result=said(Reason.STORE_UNAVAILABLE, "no answer"))))
    ready = condition(run.status, ConditionType.READY)
    assert (run.status.phase, ready.reason) == (Phase.FAILED, "AttemptsExhausted")
    assert "3 attempts failed" in ready.message
    assert "no answer" in ready.message


def outage(run: Run, planned: PlannedJob, seconds: float = 60) -> ObservedJob:
    """An attempt that begins now and gives the store up after so long; its end is seen."""
    lost = said(Reason.STORE_UNAVAILABLE, "no answer from s3:7070")
    ended = job_of(planned, failed_pod(75, result=lost, started_at=after(run.seconds)))
    run.step(ended, seconds=seconds)
    return ended


def test_an_outage_of_a_store_that_was_reached_is_waited_for_without_end() -> None:
    run = Run()
    planned = run.until(0, StageKind.SELECT)
    begun, waits = after(run.seconds + 60), []
    for attempt in range(1, 12):
        assert planned.spec.attempt == attempt
        ended = outage(run, planned)
        assert run.status.active is not None and run.status.active.counted_failures == 0
        shown = condition(run.status, ConditionType.STUCK)
        assert (shown.status, shown.reason, shown.last_transition_time) == ("True", "StoreUnavailable", begun)
        assert f"select of iteration 0 waits for the object store since {begun:%Y-%m-%d %H:%M} UTC" in shown.message
        assert "no answer from s3:7070" in shown.message
        assert condition(run.status, ConditionType.PROGRESSING).reason == "StoreUnavailable"
        assert run.decision.requeue_after_seconds is not None
        waits.append(run.decision.requeue_after_seconds)
        planned = created(run.step(ended, seconds=waits[-1]))
    assert waits == [10, 20, 40, 80, 160, *[300] * 6]


def test_an_outage_that_is_met_after_hours_of_work_is_waited_for_and_shown_for_longer_than_the_alert_asks() -> None:
    run = Run()
    planned = run.until(1, StageKind.TRAIN)
    for wait in (10, 20, 40):
        ended = outage(run, planned, seconds=7200)
        since = condition(run.status, ConditionType.STUCK).last_transition_time
        assert (run.decision.requeue_after_seconds, since) == (wait, after(run.seconds))
        planned = created(run.step(ended, seconds=wait))
        works = job_of(planned, pod(started_at=after(run.seconds)))
        run.step(works, seconds=STORE_REACHED_AFTER_SECONDS - 1)
        assert condition(run.status, ConditionType.STUCK).last_transition_time == since
        run.step(works, seconds=1)
        assert condition(run.status, ConditionType.STUCK).status == "False"


def test_a_restart_from_the_start_does_not_forget_that_the_store_was_reached() -> None:
    run = Run()
    run.to_the_end()
    run.edit(restart={"fromIteration": 0, "id": "anew"})
    planned = created(run.step())
    assert (planned.spec.stage, run.status.stages) == (StageKind.PREPARE, [])
    for _ in range(1 + SETTINGS.max_counted_failures):
        ended = outage(run, planned)
        assert run.status.active is not None and run.status.active.counted_failures == 0
        planned = created(run.step(ended, seconds=300))


def test_an_outage_is_over_when_an_attempt_works_for_long_enough() -> None:
    run = Run()
    ended = outage(run, run.until(0, StageKind.SELECT))
    planned = created(run.step(ended, seconds=300))
    works = job_of(planned, pod(started_at=after(run.seconds)))
    assert run.step(works, seconds=1).requeue_after_seconds == STORE_REACHED_AFTER_SECONDS - 1
    assert condition(run.status, ConditionType.STUCK).status == "True"
    run.step(works, seconds=STORE_REACHED_AFTER_SECONDS - 1)
    assert condition(run.status, ConditionType.STUCK).status == "False"
    assert condition(run.status, ConditionType.PROGRESSING).status == "True"


@pytest.mark.parametrize("how", ["another failure", "success"])
def test_an_outage_is_over_when_an_attempt_ends_otherwise(how: str) -> None:
    run = Run()
    ended = outage(run, run.until(0, StageKind.SELECT))
    planned = created(run.step(ended, seconds=300))
    run.step(succeeded(planned) if how == "success" else job_of(planned, failed_pod(1)), seconds=1)
    assert condition(run.status, ConditionType.STUCK).status == "False"


@pytest.mark.parametrize("stage", [StageKind.EXPLORE, StageKind.LABEL])
def test_indexes_that_an_outage_ended_are_done_again_and_count_nothing(stage: StageKind) -> None:
    run = Run()
    planned = run.until(0, stage)
    away = failed_pod(75, name="pod-8", index=1, result=said(Reason.STORE_UNAVAILABLE, "no answer"))
    later = failed_pod(75, name="pod-9", index=2, created_at=after(9), result=said(Reason.ENGINE_LOST))
    done = succeeded(planned).pods[0]
    for attempt in range(1, 2 + SETTINGS.max_counted_failures):
        assert (planned.spec.stage, planned.spec.attempt) == (stage, attempt)
        job = job_of(planned, done, away, later, succeeded_indexes=1, failed_indexes=2)
        run.step(job, seconds=400)
        assert condition(run.status, ConditionType.STUCK).reason == "StoreUnavailable"
        planned = created(run.step(job, seconds=400))
    assert run.status.active is not None and run.status.active.counted_failures == 0


def fails_at(run: Run, planned: PlannedJob, percent: float) -> None:
    """An attempt gets so far and fails."""
    run.step(job_of(planned, pod()), seconds=1, progress=Progress(percent=percent))
    run.step(job_of(planned, failed_pod(1)), seconds=1)


def test_failures_are_counted_from_the_attempt_that_came_further_than_all_before() -> None:
    run = Run()
    planned = run.until(0, StageKind.TRAIN)
    for percent, counted in ((40, 1), (40, 2), (70, 1), (60, 2), (71, 1), (30, 2)):
        fails_at(run, planned, percent)
        assert run.status.active is not None and run.status.active.counted_failures == counted
        planned = created(run.step(seconds=1000))
    fails_at(run, planned, 71)
    assert condition(run.status, ConditionType.READY).reason == "AttemptsExhausted"


def test_pods_with_results_are_a_step_on_whatever_percent_the_others_report() -> None:
    run = Run(resource(exploration={"stages": [{"temperaturesKelvin": [300, 600, 900]}], "pods": 3}))
    planned = run.until(0, StageKind.EXPLORE)
    failed = failed_pod(1, name="pod-9", index=2)
    for done, percent, counted in ((1, 10, 1), (1, 90, 2), (2, 20, 1), (2, 99, 2)):
        pods = (*succeeded(planned).pods[:done], failed)
        job = job_of(planned, *pods, succeeded_indexes=done, failed_indexes=3 - done)
        run.step(job, seconds=1, progress=Progress(percent=percent))
        assert run.status.active is not None and run.status.active.counted_failures == counted
        planned = created(run.step(seconds=1000))


@given(st.lists(st.integers(0, 5), min_size=13, max_size=13))
def test_attempts_end_however_their_progress_goes_up_and_down(percents: list[int]) -> None:
    """Each of six steps on allows two failures, and one more is the end."""
    run = Run()
    planned = run.until(0, StageKind.SELECT)
    for percent in percents:
        fails_at(run, planned, percent)
        if run.status.phase is Phase.FAILED:
            return
        planned = created(run.step(seconds=1000))
    raise AssertionError("no end")

"""The deadline of a Job of several pods: it keeps the budget of GPU time while no operator runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pfd_operator.api.conditions import Phase
from pfd_operator.contract.stage import StageKind
from pfd_operator.plan.observed import ObservedJob, ObservedPod
from pfd_operator.plan.types import PlannedJob
from pfd_operator.render import job_manifest
from tests.unit.operator.plan.budget_samples import FOUR_PODS, done_pods
from tests.unit.operator.plan.plan_samples import SETTINGS, Run, after, created, job_of, pod, resource


def test_a_job_of_many_pods_ends_with_the_budget_though_no_operator_runs() -> None:
    run = Run(resource(**FOUR_PODS | {"budget": {"maxIterations": 4, "maxLabels": 40, "gpuHours": 3}}))
    planned = run.until(0, StageKind.LABEL)
    spec = job_manifest(planned, run.settings, "token")["spec"]
    assert (spec["completions"], spec["parallelism"], planned.gpus) == (3, 2, 1)
    assert spec["activeDeadlineSeconds"] * spec["parallelism"] == 3 * 3600


def ended_by_deadline(run: Run, planned: PlannedJob, *pods: ObservedPod, late: float, **changes: Any) -> ObservedJob:
    """A Job that reached its deadline so many seconds ago, and what is left of its pods."""
    begun = run.seconds
    share = planned.active_deadline_seconds or 0
    run.seconds += share + late
    times = {"released_at": after(begun), "finished_at": after(begun + share)}
    return job_of(planned, *pods, finished="Failed", deadline_exceeded=True, **times | changes)


def test_pods_that_nobody_saw_end_with_their_job_have_taken_their_share() -> None:
    run = Run(resource(**FOUR_PODS))
    planned = run.until(0, StageKind.LABEL)
    # nobody watched: of the two that ran last nothing is left
    job = ended_by_deadline(run, planned, *done_pods(planned, 1, 0), late=3600, succeeded_indexes=1)
    run.step(job)
    assert (run.status.phase, run.status.gpu_seconds) == (Phase.BUDGET_EXHAUSTED, 14400)


def test_no_more_is_booked_than_pods_that_nobody_saw_can_have_taken() -> None:
    run = Run(resource(**FOUR_PODS))
    planned = run.until(0, StageKind.LABEL)
    job = ended_by_deadline(run, planned, *done_pods(planned, 2, 600), late=3600, succeeded_indexes=2)
    run.step(job)
    assert run.status.gpu_seconds == 2 * 600 + 7200
    assert (created(run.step(seconds=300)).active_deadline_seconds or 0) == 14400 - 8400


def test_pods_that_were_seen_to_end_with_their_job_have_taken_what_was_seen() -> None:
    run = Run(resource(**FOUR_PODS))
    planned = run.until(0, StageKind.LABEL)
    job = ended_by_deadline(run, planned, late=5, gone_pods_seconds=9000.0)
    told = run.step(job).events[0]
    assert (told.reason, run.status.gpu_seconds) == ("StageRetried", 9000)
    assert "reached its deadline, its share of the budget; 5400 s of the whole are left" in told.message


@pytest.mark.parametrize(("waiting", "counts"), [("Unschedulable", False), ("ImagePullBackOff", True)])
def test_a_job_that_waited_for_room_until_its_deadline_waits_on(waiting: str, counts: bool) -> None:
    run = Run(resource(**FOUR_PODS | {"budget": {"gpuHours": 0.25}}))
    planned = run.until(0, StageKind.LABEL)
    for attempt in range(1, SETTINGS.max_counted_failures + 3):
        assert (planned.spec.attempt, planned.active_deadline_seconds) == (attempt, 450)
        pending = [pod("Pending", name=f"p{n}", index=n, started_at=None, waiting_reason=waiting) for n in range(2)]
        run.step(job_of(planned, *pending))
        told = run.step(ended_by_deadline(run, planned, late=2)).events[0]
        assert "before any container had run: pod p0" in told.message
        if run.status.phase is Phase.FAILED:
            break
        assert run.status.active is not None and (run.status.active.counted_failures > 0) is counts
        planned = created(run.step(seconds=300 if counts else 0))
    assert (run.status.phase is Phase.FAILED) is counts
    assert run.status.gpu_seconds == 0


def test_a_stage_that_never_finds_room_fails_though_each_of_its_jobs_ends_sooner_than_that() -> None:
    budget = {"maxIterations": 4, "maxLabels": 40, "gpuHours": 0.25}
    run = Run(resource(**FOUR_PODS | {"budget": budget}), replace(SETTINGS, pending_after_seconds=3600))
    planned = run.until(0, StageKind.LABEL)
    waiting = pod("Pending", started_at=None, waiting_reason="Unschedulable")
    while run.status.phase is Phase.RUNNING and run.seconds < 7200:
        run.step(job_of(planned, waiting, released_at=after(run.seconds)), seconds=60)
        run.step(ended_by_deadline(run, planned, late=5))
        if run.status.phase is Phase.RUNNING:
            planned = created(run.decision)
    assert (run.status.phase, run.status.gpu_seconds) == (Phase.FAILED, 0)
    assert run.seconds > 3600

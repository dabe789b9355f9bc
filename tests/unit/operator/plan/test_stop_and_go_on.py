"""Suspend, stop and go on, and the time that a job may take meanwhile."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from pfd_operator.api.conditions import ConditionType, Phase
from pfd_operator.api.status import ActiveState
from pfd_operator.contract.result import Reason
from pfd_operator.contract.stage import StageKind
from pfd_operator.plan.types import DeleteJob
from tests.unit.operator.plan.plan_samples import (
    GPU,
    NEVER,
    Run,
    condition,
    created,
    failed_pod,
    job_of,
    pod,
    resource,
    said,
    succeeded,
)

TIME_BUDGETS = [({"gpuHours": 1}, "GpuBudgetExhausted"), ({"deadlineHours": 1}, "DeadlineExceeded")]


def test_suspend_and_resume_cost_no_attempt_and_no_time() -> None:
    run = Run(resource(budget={"deadlineHours": 1}))
    planned = run.until(0, StageKind.EXPLORE)
    running = job_of(planned, pod(index=0))
    run.step(running)
    run.edit(suspend=True)
    decision = run.step(running)
    assert decision.actions == (DeleteJob(running.name, running.uid),)
    assert run.status.phase is Phase.SUSPENDED
    run.edit(suspend=False)
    assert run.step(replace(running, deleting=True), seconds=7200).actions == ()
    again = created(run.step())
    assert (again.spec.attempt, again.spec.stage) == (2, StageKind.EXPLORE)
    assert run.status.suspended_seconds == 7200
    assert run.status.active is not None
    assert run.status.active.counted_failures == 0


def test_an_unseen_job_keeps_its_name_over_a_suspension() -> None:
    run = Run()
    planned = run.until(0, StageKind.PREPARE)
    run.edit(suspend=True)
    assert run.step().actions == ()
    assert run.status.active is not None
    assert run.status.active.state is ActiveState.INTENDED
    run.edit(suspend=False)
    assert created(run.step()).name == planned.name


def test_a_job_that_fails_while_it_is_suspended_has_its_deadline_when_it_goes_on() -> None:
    """Its Job was created, and not seen before the suspension."""
    run = Run(resource(budget={"deadlineHours": 1}))
    planned = run.until(0, StageKind.PREPARE)
    run.edit(suspend=True)
    run.step()
    run.step(job_of(planned, failed_pod(64, result=said(Reason.BRANCH_REQUIRED))), seconds=600)
    assert (run.status.phase, run.status.suspended_at, run.status.suspended_seconds) == (Phase.FAILED, None, 600)
    run.edit(suspend=False, restart={"fromIteration": 0, "id": "branch"})
    assert created(run.step(seconds=1000)).active_deadline_seconds == 3600
    run.step(seconds=3600)
    assert (run.status.phase, run.status.suspended_seconds) == (Phase.BUDGET_EXHAUSTED, 1600)


def test_stop_now_and_go_on() -> None:
    run = Run()
    running = job_of(run.until(1, StageKind.LABEL), pod(index=0))
    run.edit(stop="Now")
    decision = run.step(running)
    assert run.status.phase is Phase.CANCELLED
    assert decision.actions == (DeleteJob(running.name, running.uid),)
    assert run.step(replace(running, deleting=True)).actions == ()
    spec = run.resource.spec.to_json()
    del spec["stop"]
    run.resource = resource(**spec)
    again = created(run.step())
    assert (again.spec.iteration, again.spec.stage, again.spec.attempt) == (1, StageKind.LABEL, 2)
    assert run.to_the_end().phase is Phase.CONVERGED


def test_time_cancelled_before_the_start_is_no_part_of_the_deadline() -> None:
    run = Run(resource(stop="Now", budget={"deadlineHours": 1}))
    assert run.step().status.phase is Phase.CANCELLED
    run.edit(stop=None)
    assert created(run.step(seconds=7200)).active_deadline_seconds == 3600
    assert run.status.suspended_seconds == 0


@pytest.mark.parametrize("stage", [StageKind.EXPLORE, StageKind.LABEL, StageKind.TRAIN])
@pytest.mark.parametrize("cut", [True, False], ids=["cut", "between two stages"])
def test_a_stopped_job_ends_with_the_iterations_that_are_done_if_no_more_are_allowed(
    stage: StageKind, cut: bool
) -> None:
    run = Run(resource(convergence=NEVER, budget={"maxIterations": 4, "maxLabels": 40}))
    planned = run.until(2, stage)
    run.edit(stop="Now")
    run.step(job_of(planned, pod()) if cut else succeeded(planned), seconds=1)
    assert run.status.phase is Phase.CANCELLED and (run.status.active is not None) is cut
    model = run.status.model
    run.edit(stop="Now", budget={"maxIterations": 1, "maxLabels": 40})
    assert run.step().status.phase is Phase.CANCELLED
    run.edit(stop=None)
    for _ in range(2):
        decision = run.step(seconds=60)
        assert decision.actions == () and "Resumed" not in [event.reason for event in decision.events]
        assert (run.status.phase, run.status.model) == (Phase.MAX_ITERATIONS, model)
    run.edit(budget={"maxIterations": 4, "maxLabels": 40})
    again = created(run.step(seconds=60)).spec
    assert (again.iteration, again.stage is stage) == (2 if cut or stage is not StageKind.TRAIN else 3, cut)


def test_stop_after_iteration() -> None:
    run = Run()
    label = run.until(1, StageKind.LABEL)
    run.edit(stop="AfterIteration")
    run.step(succeeded(label))
    status = run.to_the_end()
    assert (status.phase, status.stages[-1].stage) == (Phase.CANCELLED, StageKind.TRAIN)


@pytest.mark.parametrize(("budget", "reason"), TIME_BUDGETS)
def test_time_is_kept_with_and_without_an_operator(budget: dict[str, Any], reason: str) -> None:
    run = Run(resource(pods={"prepare": GPU}, budget=budget))
    planned = run.until(0, StageKind.PREPARE)
    assert planned.active_deadline_seconds == 3600
    running = job_of(planned, pod())
    assert run.step(running, seconds=600).requeue_after_seconds == 3000
    decision = run.step(running, seconds=3000)
    assert run.status.phase is Phase.BUDGET_EXHAUSTED
    assert condition(run.status, ConditionType.READY).reason == reason
    assert decision.actions == (DeleteJob(running.name, running.uid),)
    assert run.status.gpu_seconds == 3600
    run.edit(budget={"gpuHours": 2, "deadlineHours": 2})
    again = created(run.step(seconds=10_000))
    assert (again.spec.attempt, again.active_deadline_seconds) == (2, 3600)


def test_a_job_of_many_pods_that_outlived_its_deadline_with_no_operator_is_no_success() -> None:
    run = Run(resource(budget={"deadlineHours": 1}))
    label = run.until(0, StageKind.LABEL)
    assert label.active_deadline_seconds == math.ceil(3600 - run.seconds)
    ended = job_of(label, succeeded_indexes=1, finished="Failed", deadline_exceeded=True)
    run.step(ended, seconds=4000)
    assert run.status.phase is Phase.BUDGET_EXHAUSTED
    assert condition(run.status, ConditionType.READY).reason == "DeadlineExceeded"
    run.edit(budget={"deadlineHours": 2})
    again = created(run.step(ended, seconds=1))
    assert (again.spec.stage, again.spec.attempt) == (StageKind.LABEL, 2)


def test_what_is_being_deleted_and_held_by_a_finalizer_is_stopped() -> None:
    run = Run(resource(pods={"prepare": GPU}))
    running = job_of(run.until(0, StageKind.PREPARE), pod())
    run.step(running, seconds=100)
    run.resource = replace(run.resource, deleting=True)
    assert run.step(running, seconds=100).actions == (DeleteJob(running.name, running.uid),)
    assert (run.status.phase, run.status.gpu_seconds) == (Phase.CANCELLED, 200)
    assert "metadata.finalizers" in condition(run.status, ConditionType.PROGRESSING).message
    before = run.status
    decision = run.step(seconds=1000)
    assert (decision.actions, decision.events, decision.status) == ((), (), before)
    assert decision.requeue_after_seconds is None


def test_a_job_seen_only_when_its_owner_is_being_deleted_is_stopped() -> None:
    run = Run()
    planned = run.until(0, StageKind.PREPARE)
    run.resource = replace(run.resource, deleting=True)
    assert run.step().actions == ()
    made = job_of(planned)
    assert run.step(made, seconds=1).actions == (DeleteJob(made.name, made.uid),)


def test_what_had_ended_before_it_is_deleted_keeps_its_end() -> None:
    run = Run()
    ended = run.to_the_end().phase
    run.resource = replace(run.resource, deleting=True)
    assert (run.step().status.phase, ended) == (Phase.CONVERGED, Phase.CONVERGED)

"""What counts as a GPU, and how a budget of time ends a job for as long as it is not raised."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from plan_samples import GPU, Run, after, condition, created, failed_pod, job_of, pod, resource

from pfd_operator.api.conditions import ConditionType, Phase
from pfd_operator.contract.stage import StageKind
from pfd_operator.plan.budget import gpus_per_pod
from pfd_operator.runtime.refusal import refused_status


@pytest.mark.parametrize(
    ("overrides", "gpus"),
    [
        ({}, 0),
        ({"resources": {"limits": {"cpu": 4, "nvidia.com/gpu": 2}}}, 2),
        ({"resources": {"limits": {"nvidia.com/mig-1g.10gb": "1"}}}, 1),
        ({"resources": {"limits": {"amd.com/gpu": 1}}}, 1),
        ({"resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "h100"}]}, 1),
        ({"resourceClaims": [{"name": "gpus", "resourceClaimName": "a", "gpus": 4}]}, 4),
        ({"resourceClaims": [{"name": "nic", "resourceClaimName": "b", "gpus": 0}]}, 0),
    ],
)
def test_gpus_of_a_pod(overrides: dict[str, Any], gpus: int) -> None:
    assert gpus_per_pod(resource(pods={"train": overrides}).spec, StageKind.TRAIN) == gpus


def training_killed_after(seconds: float, **budget: Any) -> Run:
    """A training on one GPU whose pod reached its deadline; seconds are what its container had."""
    run = Run(resource(pods={"train": GPU}, budget={"maxIterations": 4, "maxLabels": 40, **budget}))
    planned = run.until(0, StageKind.TRAIN)
    end = run.seconds + seconds
    killed = replace(
        failed_pod(143, container_reason="DeadlineExceeded"), started_at=after(run.seconds), finished_at=after(end)
    )
    run.step(job_of(planned, killed), seconds=seconds)
    return run


@pytest.mark.parametrize(
    ("budget", "reason"), [({"gpuHours": 1}, "GpuBudgetExhausted"), ({"deadlineHours": 1}, "DeadlineExceeded")]
)
def test_seconds_that_are_left_do_not_reopen_a_job(budget: dict[str, float], reason: str) -> None:
    run = training_killed_after(3560, **budget)
    assert run.status.phase is Phase.BUDGET_EXHAUSTED
    assert condition(run.status, ConditionType.READY).reason == reason
    for _ in range(3):
        decision = run.step(seconds=600)
        assert (decision.actions, decision.events, run.status.phase) == ((), (), Phase.BUDGET_EXHAUSTED)
    run.edit(budget={"maxIterations": 4, "maxLabels": 40, **dict.fromkeys(budget, 2)})
    again = created(run.step())
    assert (run.status.phase, again.spec.stage, again.spec.attempt) == (Phase.RUNNING, StageKind.TRAIN, 2)


def test_rounding_does_not_reopen_a_job() -> None:
    run = Run(resource(pods={"prepare": GPU}, budget={"gpuHours": 1.1}))
    running = job_of(run.until(0, StageKind.PREPARE), pod())
    run.step(running, seconds=3960.3)
    # 1.1 h are 3960.0000000000005 s, and 3960 are booked
    assert (run.status.phase, run.status.gpu_seconds) == (Phase.BUDGET_EXHAUSTED, 3960)
    assert run.step(seconds=1).events == ()
    assert run.status.phase is Phase.BUDGET_EXHAUSTED


def test_a_spec_refused_meanwhile_does_not_reopen_a_job() -> None:
    run = training_killed_after(3560, gpuHours=1)
    run.status = refused_status(run.status, "spec.pods: no", 2, after(run.seconds))
    assert run.step(seconds=1).status.phase is Phase.BUDGET_EXHAUSTED

"""Trainings on several nodes: one Job, one result, and one cause when they end together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from pfd_operator.api.status import ActiveState
from pfd_operator.contract.result import ExitCode, Reason, StageResult
from pfd_operator.contract.stage import StageKind
from pfd_operator.plan.failures import Failure, Remedy
from pfd_operator.plan.observed import ObservedJob, ObservedPod
from pfd_operator.plan.types import CreateService, PlannedJob
from tests.unit.operator.plan.plan_answers import good_result
from tests.unit.operator.plan.plan_samples import (
    GPU,
    Run,
    after,
    created,
    end_as_seen,
    failed_pod,
    job_of,
    pod,
    resource,
    said,
)

TWO_NODES = {"training": {"steps": 1000, "nodes": 2}}


def training(**changes: object) -> tuple[Run, PlannedJob]:
    run = Run(resource(**TWO_NODES, **changes))
    return run, run.until(0, StageKind.TRAIN)


def together(planned: PlannedJob, pods: Sequence[ObservedPod], **changes: object) -> ObservedJob:
    indexed = [replace(each, index=number, name=f"pod-{number}") for number, each in enumerate(pods)]
    return job_of(planned, *indexed, parallelism=2, completions=None, **changes)


def test_one_job_of_all_nodes_with_a_service_and_one_result() -> None:
    run, planned = training()
    assert (planned.completions, planned.parallelism, planned.together) == (None, 2, True)
    services = [action for action in run.decision.actions if isinstance(action, CreateService)]
    assert services == [CreateService("pfd-silicon-5f0c")]
    run.step(together(planned, [pod(), pod()]))
    done = pod("Succeeded", exit_code=0, result=StageResult(ok=True))
    # another one is done before the first has measured its model
    run.step(together(planned, [pod(), done]))
    assert run.status.active is not None
    first = pod("Succeeded", exit_code=0, result=good_result(planned.spec))
    run.step(together(planned, [first, done]))
    assert run.status.iterations[-1].holdout is not None
    assert run.status.inputs["train"].completions is None


def test_a_node_that_is_done_says_nothing_while_the_first_is_not_seen() -> None:
    _, planned = training()
    done = pod("Succeeded", exit_code=0, result=StageResult(ok=True), index=1)
    assert end_as_seen(job_of(planned, done, parallelism=2, completions=None)) is None


PREEMPTED = failed_pod(int(ExitCode.PREEMPTED), result=said(Reason.PREEMPTED))
DISRUPTED = replace(PREEMPTED, disrupted=True)
NOT_ADMITTED = pod("Failed", refused=True, container_reason="OutOfcpu")
LEFT_ALONE = failed_pod(int(ExitCode.TRANSIENT), result=said(Reason.TRAINING_FAILED))
DIVERGED = failed_pod(int(ExitCode.USER_ERROR), result=said(Reason.NOT_A_NUMBER))
OUT_OF_MEMORY = failed_pod(137, container_reason="OOMKilled")


@pytest.mark.parametrize(
    ("pods", "remedy"),
    [
        ([DIVERGED, PREEMPTED], Remedy.FAIL),
        ([LEFT_ALONE, OUT_OF_MEMORY], Remedy.FAIL),
        ([LEFT_ALONE, DISRUPTED], Remedy.RETRY_FREE),
        ([LEFT_ALONE, NOT_ADMITTED], Remedy.RETRY_FREE),
        ([PREEMPTED, LEFT_ALONE], Remedy.RETRY),
        ([PREEMPTED, PREEMPTED], Remedy.RETRY_FREE),
    ],
    ids=["diverged", "out of memory", "evicted", "not admitted", "stopped for another", "stopped from outside"],
)
def test_the_end_of_one_is_the_end_of_all_and_one_was_the_cause(pods: list[ObservedPod], remedy: Remedy) -> None:
    _, planned = training()
    assert end_as_seen(together(planned, [pods[0], pod()])) is None
    for order in (pods, pods[::-1]):
        outcome = end_as_seen(together(planned, order, finished="Failed"))
        assert isinstance(outcome, Failure)
        assert outcome.remedy is remedy


def test_all_nodes_are_paid_for() -> None:
    run, planned = training(pods={"train": GPU}, budget={"maxIterations": 4, "maxLabels": 40, "gpuHours": 1})
    half_an_hour = [replace(each, started_at=after(0), finished_at=after(900)) for each in (PREEMPTED, PREEMPTED)]
    run.step(together(planned, half_an_hour, finished="Failed"), seconds=900)
    assert run.status.gpu_seconds == 1800
    again = created(run.step(seconds=1))
    assert (again.spec.attempt, again.parallelism, again.active_deadline_seconds) == (2, 2, 900)
    assert run.status.active is not None
    assert run.status.active.state is ActiveState.INTENDED

"""A stage that was killed for its memory limit gets twice as much, as often as the job allows."""

from __future__ import annotations

from typing import Any

import pytest

from pfd_operator.api.conditions import ConditionType, Phase
from pfd_operator.api.pods import doubled
from pfd_operator.contract.result import Reason
from pfd_operator.contract.stage import StageKind
from pfd_operator.plan.types import PlannedJob
from tests.unit.operator.plan.plan_samples import (
    Run,
    condition,
    created,
    failed_pod,
    job_of,
    pod,
    resource,
    said,
)

KILLED = failed_pod(137, container_reason="OOMKilled")


def job_with(stage: StageKind, steps: int, resources: dict[str, Any]) -> Run:
    return Run(resource(pods={stage.value: {"resources": resources}}, memorySteps=steps))


def resources_of(planned: PlannedJob) -> dict[str, Any]:
    return planned.owner.spec.pods.of(planned.spec.stage).resources.to_json()


@pytest.mark.parametrize(
    "killed", [KILLED, failed_pod(64, result=said(Reason.OUT_OF_MEMORY, "no room"))], ids=["killed", "said so"]
)
def test_twice_the_memory_each_time_and_then_the_end(killed: Any) -> None:
    limits = {"requests": {"memory": "3Gi", "cpu": 1}, "limits": {"memory": "4Gi", "cpu": 2}}
    run = job_with(StageKind.TRAIN, 2, limits)
    planned = run.until(0, StageKind.TRAIN)
    for step, (request, limit) in enumerate((("6Gi", "8Gi"), ("12Gi", "16Gi")), start=1):
        planned = created(run.step(job_of(planned, killed), seconds=1))
        assert planned.spec.attempt == 1 + step
        assert resources_of(planned) == {
            "requests": {"memory": request, "cpu": 1}, "limits": {"memory": limit, "cpu": 2},
        }  # fmt: skip
        (told,) = [event for event in run.decision.events if event.warning]
        assert told.reason == "StageRetried"
        assert f"is tried again with {limit} (step {step} of 2, spec.memorySteps)" in told.message
    run.step(job_of(planned, killed), seconds=1)
    assert run.status.phase is Phase.FAILED
    ready = condition(run.status, ConditionType.READY)
    assert ready.reason == "OutOfMemory" and "its limit of 16Gi" in ready.message


@pytest.mark.parametrize(
    ("steps", "limits", "killed"),
    [
        (0, {"memory": "4Gi"}, KILLED),
        (3, {"cpu": 2}, KILLED),
        (3, {"memory": "4Gi"}, failed_pod(64, result=said(Reason.GPU_OUT_OF_MEMORY))),
    ],
    ids=["not asked for", "no limit to double", "that of the GPU"],
)
def test_what_more_memory_of_the_pod_does_not_help_fails_now(steps: int, limits: dict[str, Any], killed: Any) -> None:
    run = job_with(StageKind.TRAIN, steps, {"limits": limits})
    planned = run.until(0, StageKind.TRAIN)
    run.step(job_of(planned, killed), seconds=1)
    assert run.status.phase is Phase.FAILED


def test_what_was_enough_is_what_later_iterations_begin_with_until_a_restart() -> None:
    run = job_with(StageKind.TRAIN, 1, {"limits": {"memory": "4Gi"}})
    planned = run.until(0, StageKind.TRAIN)
    run.step(job_of(planned, KILLED), seconds=1)
    assert resources_of(run.until(1, StageKind.TRAIN))["limits"] == {"memory": "8Gi"}
    assert resources_of(run.until(2, StageKind.EXPLORE)) == {"requests": {}, "limits": {}}
    run.edit(
        pods={"train": {"resources": {"limits": {"memory": "6Gi"}}}},
        restart={"fromIteration": 1, "id": "again"},
    )
    run.step(seconds=1)
    while not run.decision.actions:
        run.step(seconds=1)
    assert resources_of(run.until(1, StageKind.TRAIN))["limits"] == {"memory": "6Gi"}


def test_one_pod_of_several_is_enough_and_the_others_are_waited_for() -> None:
    run = job_with(StageKind.EXPLORE, 1, {"limits": {"memory": "4Gi"}})
    planned = run.until(0, StageKind.EXPLORE)
    assert planned.completions == 2
    sound = pod("Succeeded", name="pod-0", index=0, exit_code=0, result=run.answer(planned.spec))
    killed = failed_pod(137, name="pod-1", index=1, container_reason="OOMKilled")
    works = job_of(planned, pod(name="pod-0", index=0), killed, failed_indexes=1)
    assert run.step(works, seconds=1).events == ()
    again = created(run.step(job_of(planned, sound, killed, succeeded_indexes=1, failed_indexes=1), seconds=1))
    assert (again.spec.stage, resources_of(again)["limits"]) == (StageKind.EXPLORE, {"memory": "8Gi"})


@pytest.mark.parametrize(
    ("quantity", "times", "expected"),
    [
        ("4Gi", 1, "8Gi"),
        ("1.5Gi", 1, "3.0Gi"),
        ("500M", 3, "4000M"),
        (1024, 2, "4096"),
        ("1e9", 1, "2e9"),
        (".5Gi", 1, "1.0Gi"),
    ],
)  # fmt: skip
def test_a_quantity_keeps_its_suffix(quantity: str | int, times: int, expected: str) -> None:
    assert doubled(quantity, times) == expected

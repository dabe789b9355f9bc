"""A Job of which nothing has started is asked for anew when what it was drawn from is corrected, and no other one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from pfd_operator.api.conditions import ConditionType, Phase
from pfd_operator.api.stage_pods import StagePods
from pfd_operator.contract.stage import StageKind
from pfd_operator.plan.observed import ObservedPod
from pfd_operator.plan.types import CreateJob, DeleteJob
from tests.unit.operator.plan.plan_samples import (
    SETTINGS,
    Run,
    after,
    condition,
    created,
    job_of,
    pod,
    resource,
    succeeded,
)

NODES = {"nodeSelector": {"gpu": "h200"}}
WAITING = pod("Pending", started_at=None, waiting_reason="Unschedulable", waiting_message="0/3 nodes")
NO_IMAGE = replace(WAITING, waiting_reason="ImagePullBackOff")
NO_SECRET = replace(WAITING, waiting_reason="CreateContainerConfigError", waiting_message='secret "keys" not found')
PROBED = replace(NO_IMAGE, started_at=after(0))


def new_settings(run: Run) -> None:
    run.settings = replace(SETTINGS, worker_image="worker:2")


def new_secret(run: Run) -> None:
    s3 = run.resource.spec.artifacts.s3.to_json() | {"credentialsSecret": "s3-keys"}
    run.edit(artifacts={"s3": s3})


def new_account(run: Run) -> None:
    run.settings = replace(SETTINGS, stage_pods=StagePods(service_account_name="stages"))


@pytest.mark.parametrize(
    ("pods", "suspended", "correct"),
    [
        ([WAITING], False, lambda run: run.edit(pods={"train": NODES})),
        ([], False, lambda run: run.edit(pods={"train": NODES})),
        ([], True, lambda run: run.edit(queue={"name": "gpus"})),
        ([NO_IMAGE], False, new_settings),
        ([PROBED], False, new_settings),
        ([], False, new_account),
        ([NO_SECRET], False, new_secret),
    ],
    ids=[
        "unschedulable",
        "no pod",
        "queued",
        "image",
        "image of the second init container",
        "ServiceAccount",
        "Secret",
    ],
)
def test_what_is_corrected_reaches_a_job_that_cannot_start(
    pods: list[ObservedPod], suspended: bool, correct: Callable[[Run], None]
) -> None:
    run = Run()
    job = replace(job_of(run.until(0, StageKind.TRAIN), *pods), suspended=suspended)
    run.step(job, seconds=60)
    correct(run)
    decision = run.step(job, seconds=60)
    assert decision.actions == (DeleteJob(job.name, job.uid),)
    (told,) = decision.events
    assert (told.reason, told.warning, "train of iteration 0 is asked for anew" in told.message) == (
        "StageRetried",
        False,
        True,
    )
    assert run.step(replace(job, deleting=True), seconds=1).actions == (), "not beside a pod on its way out"
    again = created(run.step(seconds=1))
    assert run.status.active is not None
    assert (again.spec.attempt, run.status.active.counted_failures) == (2, 0)
    assert condition(run.status, ConditionType.STUCK).status == "False"
    # once
    for _ in range(3):
        assert run.step(replace(job_of(again, *pods), suspended=suspended), seconds=60).actions == ()


def test_an_image_that_is_corrected_late_fails_no_job() -> None:
    run = Run()
    job = job_of(run.until(0, StageKind.PREPARE), NO_IMAGE)
    run.step(job)
    new_settings(run)
    run.step(job, seconds=SETTINGS.stuck_after_seconds - 1)
    again = created(run.step(seconds=1))
    run.step(succeeded(again), seconds=SETTINGS.stuck_after_seconds)
    assert (again.worker_image, run.status.phase) == ("worker:2", Phase.RUNNING)


@pytest.mark.parametrize(
    ("pods", "change"),
    [
        ([pod()], {"pods": {"train": NODES}}),
        ([replace(WAITING, phase="Failed", disrupted=True)], {"pods": {"train": NODES}}),
        ([WAITING], {"pods": {"explore": NODES}}),
        ([WAITING], {"budget": {"maxIterations": 4, "maxLabels": 41}}),
        # nothing new starts until the seed is restored
        ([WAITING], {"pods": {"train": NODES}, "seed": 5}),
    ],
    ids=["runs", "ended", "another stage", "budget", "held"],
)
def test_no_other_job_is_given_up(pods: list[ObservedPod], change: dict[str, object]) -> None:
    run = Run()
    job = job_of(run.until(0, StageKind.TRAIN), *pods)
    run.step(job_of(run.until(0, StageKind.TRAIN), WAITING))
    run.edit(**change)
    decision = run.step(job)
    assert "asked for anew" not in str(decision.events)
    assert not [action for action in decision.actions if isinstance(action, CreateJob | DeleteJob)]


def test_a_label_stage_that_waits_is_shared_out_anew() -> None:
    run = Run()
    job = job_of(run.until(0, StageKind.LABEL), WAITING)
    run.step(job)
    run.edit(labeling=run.resource.spec.to_json()["labeling"] | {"parallelism": 3})
    run.step(job)
    assert created(run.step(seconds=1)).parallelism == 3


def test_a_job_stays_whose_engine_has_lost_its_image() -> None:
    engine = {"abinit": {"cutoffEv": 300, "kSpacing": 0.3, "pseudopotentials": {"Si": "Si.psp8"}}}
    known = replace(SETTINGS, engine_images={"abinit": "abinit:9"})
    run = Run(resource(labeling={"engine": engine}), known)
    job = job_of(run.until(0, StageKind.LABEL), WAITING)
    run.step(job)
    run.settings = replace(known, engine_images={})
    assert run.step(job).actions == ()
    run.settings = replace(known, engine_images={"abinit": "abinit:10"})
    assert run.step(job).actions == (DeleteJob(job.name, job.uid),)


def test_a_job_of_an_earlier_operator_stays() -> None:
    run = Run()
    job = job_of(run.until(0, StageKind.PREPARE), WAITING)
    assert run.status.active is not None and run.status.active.drawn_from
    run.status = run.status.model_copy(update={"active": run.status.active.model_copy(update={"drawn_from": ""})})
    new_settings(run)
    assert run.step(job).actions == ()

"""Pods that cannot start, and Jobs that are refused: what is shown, what is waited for, and for how long."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pfd_operator.api.conditions import ConditionType, OperatorReason, Phase
from pfd_operator.contract.stage import StageKind
from pfd_operator.plan.stuck import NO_MORE_PODS_AFTER_SECONDS, SLOW_AFTER_SECONDS
from pfd_operator.plan.types import DeleteJob
from tests.unit.operator.plan.plan_samples import SETTINGS, START, Run, after, condition, created, job_of, pod

STUCK_PODS = [
    ("ErrImagePull", "not found", OperatorReason.IMAGE_PULL),
    ("ImagePullBackOff", "Back-off pulling image", OperatorReason.IMAGE_PULL),
    ("InvalidImageName", "no such", OperatorReason.IMAGE_PULL),
    ("CreateContainerConfigError", 'secret "s3-keys" not found', OperatorReason.SECRET_MISSING),
    ("CreateContainerConfigError", "container has runAsNonRoot and image will run as root", OperatorReason.NON_ROOT),
    ("CreateContainerConfigError", "volume name is invalid", OperatorReason.CONFIG_ERROR),
]


@pytest.mark.parametrize(("waiting", "message", "reason"), STUCK_PODS)
def test_a_pod_that_cannot_start_shows_at_once_and_fails_later(
    waiting: str, message: str, reason: OperatorReason
) -> None:
    run = Run()
    planned = run.until(0, StageKind.PREPARE)
    stuck = job_of(planned, pod("Pending", started_at=None, waiting_reason=waiting, waiting_message=message))
    decision = run.step(stuck)
    shown = condition(run.status, ConditionType.STUCK)
    assert (shown.status, shown.reason) == ("True", reason)
    assert message in shown.message
    assert condition(run.status, ConditionType.PROGRESSING).status == "False"
    assert decision.requeue_after_seconds == SETTINGS.stuck_after_seconds
    assert run.step(stuck, seconds=SETTINGS.stuck_after_seconds - 1).status.phase is Phase.RUNNING
    decision = run.step(stuck, seconds=1)
    assert run.status.phase is Phase.FAILED
    assert condition(run.status, ConditionType.READY).reason == reason
    assert decision.actions == (DeleteJob(stuck.name, stuck.uid),)


@pytest.mark.parametrize(
    ("waiting", "message", "reason"),
    [
        ("Unschedulable", "0/3 nodes are available", OperatorReason.UNSCHEDULABLE),
        ("SomethingNew", "who knows", OperatorReason.POD_PENDING),
    ],
)
@pytest.mark.parametrize("patience", [0, 7200])
def test_a_pod_that_may_find_room_yet_is_waited_for(
    waiting: str, message: str, reason: OperatorReason, patience: int
) -> None:
    run = Run(settings=replace(SETTINGS, pending_after_seconds=patience))
    planned = run.until(0, StageKind.PREPARE)
    stuck = job_of(planned, pod("Pending", started_at=None, waiting_reason=waiting, waiting_message=message))
    run.step(stuck)
    run.step(stuck, seconds=7199)
    shown = condition(run.status, ConditionType.STUCK)
    assert (shown.status, shown.reason, run.status.phase) == ("True", reason, Phase.RUNNING)
    run.step(stuck, seconds=1)
    assert run.status.phase is (Phase.FAILED if patience else Phase.RUNNING)


def test_an_image_that_cannot_be_pulled_has_its_own_time_after_a_long_wait_for_room() -> None:
    run = Run()
    planned = run.until(0, StageKind.PREPARE)
    run.step(job_of(planned, pod("Pending", started_at=None, waiting_reason="Unschedulable")))
    bad_image = job_of(planned, pod("Pending", started_at=None, waiting_reason="ErrImagePull"))
    run.step(bad_image, seconds=5000)
    assert run.status.phase is Phase.RUNNING
    run.step(bad_image, seconds=SETTINGS.stuck_after_seconds)
    assert run.status.phase is Phase.FAILED


def test_a_pod_that_does_not_get_ready_shows_after_a_while() -> None:
    run = Run()
    planned = run.until(0, StageKind.PREPARE)
    making = job_of(planned, pod("Pending", started_at=None, created_at=START))
    assert run.step(making).requeue_after_seconds == SLOW_AFTER_SECONDS
    assert condition(run.status, ConditionType.STUCK).status == "False"
    run.step(making, seconds=SLOW_AFTER_SECONDS)
    shown = condition(run.status, ConditionType.STUCK)
    assert (shown.status, shown.reason) == ("True", OperatorReason.POD_PENDING)
    assert "kubectl describe pod" in shown.message
    run.step(making, seconds=1e5)
    assert run.status.phase is Phase.RUNNING


def test_a_pod_that_was_scheduled_late_or_has_begun_is_not_slow() -> None:
    run = Run()
    planned = run.until(0, StageKind.PREPARE)
    late = pod("Pending", started_at=None, scheduled_at=after(5000))
    assert run.step(job_of(planned, late), seconds=5000).requeue_after_seconds == SLOW_AFTER_SECONDS
    assert condition(run.status, ConditionType.STUCK).status == "False"
    stages_in = pod("Pending", started_at=START)
    run.step(job_of(planned, stages_in), seconds=5000)
    assert condition(run.status, ConditionType.STUCK).status == "False"


@pytest.mark.parametrize("first", ["Unschedulable", "ErrImagePull"])
def test_of_several_pods_the_one_that_waiting_does_not_help_decides(first: str) -> None:
    run = Run()
    planned = run.until(0, StageKind.LABEL)
    reasons = [first, *{"Unschedulable", "ErrImagePull"} - {first}]
    pods = [
        pod("Pending", name=f"pod-{number}", index=number, started_at=None, waiting_reason=reason)
        for number, reason in enumerate(reasons)
    ]
    run.step(job_of(planned, *pods))
    assert condition(run.status, ConditionType.STUCK).reason == OperatorReason.IMAGE_PULL


def test_a_wait_for_room_has_its_own_time_after_an_image_that_could_not_be_pulled() -> None:
    run = Run(settings=replace(SETTINGS, pending_after_seconds=600))
    planned = run.until(0, StageKind.PREPARE)
    run.step(job_of(planned, pod("Pending", started_at=None, waiting_reason="ErrImagePull")))
    run.step(job_of(planned, pod("Pending", started_at=None, waiting_reason="Unschedulable")), seconds=800)
    assert run.status.phase is Phase.RUNNING


@pytest.mark.parametrize(("nodes", "stuck"), [(1, "False"), (2, "True")])
def test_of_pods_that_work_together_each_has_to_start(nodes: int, stuck: str) -> None:
    run = Run()
    planned = run.until(0, StageKind.TRAIN)
    waiting = pod("Pending", name="pod-1", index=1, started_at=None, waiting_reason="Unschedulable")
    run.step(replace(job_of(planned, pod(name="pod-0", index=0), waiting), parallelism=nodes))
    assert condition(run.status, ConditionType.STUCK).status == stuck


def test_a_stuck_pod_that_starts_is_forgotten() -> None:
    run = Run()
    planned = run.until(0, StageKind.PREPARE)
    waiting = pod("Pending", started_at=None, waiting_reason="Unschedulable", waiting_message="no GPU is free")
    run.step(job_of(planned, waiting))
    run.step(job_of(planned, pod()), seconds=800)
    assert condition(run.status, ConditionType.STUCK).status == "False"
    run.step(job_of(planned, waiting), seconds=10)
    assert condition(run.status, ConditionType.STUCK).last_transition_time == after(810)


def test_a_stuck_pod_that_is_lost_is_stuck_no_longer() -> None:
    run = Run()
    planned = run.until(0, StageKind.PREPARE)
    waiting = pod("Pending", started_at=None, waiting_reason="Unschedulable", waiting_message="no GPU is free")
    run.step(job_of(planned, waiting))
    run.step(job_of(planned, replace(waiting, phase="Failed", disrupted=True)), seconds=1)
    assert run.status.active is not None and run.status.active.not_before is not None, "the next one waits"
    assert condition(run.status, ConditionType.STUCK).status == "False"
    assert "no GPU is free" not in condition(run.status, ConditionType.PROGRESSING).message


def test_a_job_without_pods_says_so() -> None:
    run = Run()
    planned = run.until(0, StageKind.PREPARE)
    assert run.step(job_of(planned), seconds=10).requeue_after_seconds == 20
    run.step(job_of(planned), seconds=25)
    assert condition(run.status, ConditionType.STUCK).reason == "PodPending"


def test_a_stage_whose_next_pods_cannot_be_created_says_so() -> None:
    run = Run(settings=replace(SETTINGS, pending_after_seconds=600))
    planned = run.until(0, StageKind.LABEL)
    ended = run.seconds
    done = [pod("Succeeded", name=f"p{n}", index=n, exit_code=0, finished_at=after(ended)) for n in range(2)]
    waits = job_of(planned, *done, succeeded_indexes=2)
    assert (planned.completions, run.step(waits).requeue_after_seconds) == (3, NO_MORE_PODS_AFTER_SECONDS)
    assert condition(run.status, ConditionType.STUCK).status == "False", "an index may be repeated, after a while"
    run.step(waits, seconds=NO_MORE_PODS_AFTER_SECONDS)
    shown = condition(run.status, ConditionType.STUCK)
    assert (shown.status, shown.reason) == ("True", "PodPending")
    assert "no pod any more, and needs one: `kubectl describe job" in shown.message
    assert condition(run.status, ConditionType.PROGRESSING).status == "False"
    run.step(replace(waits, pods=(*done, pod(index=2))), seconds=1)
    assert condition(run.status, ConditionType.STUCK).status == "False"
    run.step(waits, seconds=1)
    run.step(waits, seconds=600)
    assert run.status.phase is Phase.FAILED, "operator.pendingAfterSeconds"


def test_a_job_that_the_api_server_refuses_says_so_and_is_asked_for_until_it_is_taken() -> None:
    run = Run()
    planned = run.until(0, StageKind.PREPARE)
    refusal = "the API server refused a child: exceeded quota: jobs"
    for seconds in (1, SETTINGS.stuck_after_seconds):
        assert created(run.step(seconds=seconds, refusal=refusal)) == planned
        assert run.status.phase is Phase.RUNNING
        for kind, value in ((ConditionType.STUCK, "True"), (ConditionType.PROGRESSING, "False")):
            shown = condition(run.status, kind)
            assert (shown.status, shown.reason, refusal in shown.message) == (value, "JobRefused", True)
            assert shown.last_transition_time == after(1)
    assert created(run.step(seconds=1)) == planned
    assert condition(run.status, ConditionType.STUCK).status == "False"
    assert condition(run.status, ConditionType.PROGRESSING).status == "True"


def test_the_time_of_a_refused_job_is_none_of_its_pods() -> None:
    run = Run()
    planned = run.until(0, StageKind.PREPARE)
    run.step(refusal="the API server refused a child: exceeded quota: jobs")
    begun = SETTINGS.stuck_after_seconds + 100
    waiting = pod("Pending", started_at=None, waiting_reason="Unschedulable", waiting_message="no GPU is free")
    run.step(job_of(planned, waiting), seconds=begun)
    stuck = condition(run.status, ConditionType.STUCK)
    assert (run.status.phase, stuck.reason, stuck.last_transition_time) == (
        Phase.RUNNING,
        "Unschedulable",
        after(begun),
    )
    assert condition(run.status, ConditionType.PROGRESSING).reason == "Unschedulable"

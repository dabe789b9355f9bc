"""What a change of a child asks for: what decides is looked at at once, what is swept away or was asked for later."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from pfd_operator.contract.stage import StageKind
from pfd_operator.kube.observe import CachedJob, CachedPod
from pfd_operator.kube.owner import Owner
from pfd_operator.kube.urgency import AT_ONCE, LATER_SECONDS, PROGRESS_SECONDS, SOON_SECONDS, after_job, after_pod
from pfd_operator.plan.observed import ObservedJob, ObservedPod, PodPhase

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RESOURCE = Owner("lab", "owner")


def job(**fields: Any) -> CachedJob:
    observed = ObservedJob("silicon-i001-train-a1", "uid", 1, StageKind.TRAIN, 1, **fields)
    return CachedJob(("lab", observed.name), RESOURCE, "token", observed)


def pod(phase: PodPhase, **fields: Any) -> CachedPod:
    return CachedPod(("lab", "pod"), Owner("lab", "uid"), RESOURCE, ObservedPod("pod", phase, **fields))


@pytest.mark.parametrize(
    ("changed", "gone", "active", "seconds"),
    [
        # the Job that was asked for came
        (job(), False, True, LATER_SECONDS),
        (job(completions=4), False, True, LATER_SECONDS),
        (job(completions=4, succeeded_indexes=1), False, True, PROGRESS_SECONDS),
        (job(completions=4, failed_indexes=1), False, True, SOON_SECONDS),
        (job(finished="Failed"), False, True, SOON_SECONDS),
        (job(suspended=True), False, True, SOON_SECONDS),
        # somebody takes it away, or what was asked to go goes: the next attempt may wait for that
        (job(deleting=True), False, True, AT_ONCE),
        (job(), True, True, AT_ONCE),
        (job(finished="Complete"), True, True, AT_ONCE),
        (job(deleting=True), False, False, AT_ONCE),
        (job(), True, False, AT_ONCE),
        # the Job of an earlier stage ends, and is tidied away
        (job(finished="Complete"), False, False, LATER_SECONDS),
        (job(finished="Complete", deleting=True), False, False, LATER_SECONDS),
        (job(finished="Complete"), True, False, LATER_SECONDS),
    ],
)
def test_jobs(changed: CachedJob, gone: bool, active: bool, seconds: float) -> None:
    assert after_job(changed, gone, active) == seconds


@pytest.mark.parametrize(
    ("before", "changed", "seconds"),
    [
        (None, pod("Pending"), LATER_SECONDS),
        (pod("Pending"), pod("Pending", waiting_reason="ImagePullBackOff"), SOON_SECONDS),
        (None, pod("Pending", waiting_reason="Unschedulable"), SOON_SECONDS),
        (
            pod("Pending", waiting_reason="Unschedulable", waiting_message="0/50 nodes are available"),
            pod("Pending", waiting_reason="Unschedulable", waiting_message="0/49 nodes are available"),
            LATER_SECONDS,
        ),
        (
            pod("Pending", waiting_reason="Unschedulable"),
            pod("Pending", waiting_reason="ImagePullBackOff"),
            SOON_SECONDS,
        ),
        (pod("Pending"), pod("Running"), SOON_SECONDS),
        (pod("Running"), pod("Running", grace_ends_at=NOW), AT_ONCE),
        (pod("Running"), pod("Succeeded"), AT_ONCE),
        (pod("Running"), pod("Failed"), AT_ONCE),
        (pod("Running", grace_ends_at=NOW), pod("Failed", grace_ends_at=NOW), AT_ONCE),
        # told once: its end was heard of when it came
        (None, pod("Succeeded"), AT_ONCE),
        (pod("Succeeded"), pod("Succeeded", grace_ends_at=NOW), LATER_SECONDS),
    ],
)
def test_pods(before: CachedPod | None, changed: CachedPod, seconds: float) -> None:
    assert after_pod(changed, before, gone=False) == seconds


def test_pods_that_are_gone() -> None:
    running, ended = pod("Running"), pod("Succeeded")
    assert after_pod(running, running, gone=True) == AT_ONCE
    assert after_pod(ended, running, gone=True) == AT_ONCE
    assert after_pod(ended, ended, gone=True) == LATER_SECONDS


@pytest.mark.parametrize(
    ("changed", "seconds"),
    [
        (pod("Running", index=3), PROGRESS_SECONDS),
        (pod("Succeeded", index=3), PROGRESS_SECONDS),
        (pod("Failed", index=3), AT_ONCE),
        (pod("Running", index=3, grace_ends_at=NOW), AT_ONCE),
        (pod("Running", index=3, waiting_reason="CreateContainerError"), SOON_SECONDS),
    ],
)
def test_one_pod_of_many(changed: CachedPod, seconds: float) -> None:
    assert after_pod(changed, pod("Pending", index=3), gone=False, one_of_many=True) == seconds

"""The failure policy, line by line."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pfd_operator.api.conditions import ConditionType, Phase
from pfd_operator.api.status import ActiveState
from pfd_operator.contract.result import Reason
from pfd_operator.contract.stage import StageKind
from pfd_operator.plan.attempts import DELETION_LOOK_SECONDS
from pfd_operator.plan.failures import Remedy, classify
from pfd_operator.plan.jobs import Success
from pfd_operator.plan.observed import ObservedJob, ObservedPod
from pfd_operator.plan.types import CreateJob, DeleteJob, PlannedJob
from tests.unit.operator.plan.plan_samples import (
    SETTINGS,
    START,
    Run,
    after,
    condition,
    created,
    end_as_seen,
    failed_pod,
    job_of,
    pod,
    resource,
    said,
    succeeded,
)


@pytest.mark.parametrize(
    ("ended", "remedy", "reason"),
    [
        (failed_pod(64, result=said(Reason.UNKNOWN_ELEMENT)), Remedy.FAIL, "UnknownElement"),
        (failed_pod(64), Remedy.FAIL, "InternalError"),
        (replace(failed_pod(64), container="engine"), Remedy.RETRY, "InternalError"),
        (failed_pod(64, result=said(Reason.UNKNOWN_ELEMENT), disrupted=True), Remedy.FAIL, "UnknownElement"),
        (failed_pod(75, result=said(Reason.STORE_UNAVAILABLE)), Remedy.OUTAGE, "StoreUnavailable"),
        (failed_pod(75, result=said(Reason.STORE_UNAVAILABLE), disrupted=True), Remedy.RETRY_FREE, "PodLost"),
        (failed_pod(75, result=said(Reason.ENGINE_LOST)), Remedy.RETRY, "EngineLost"),
        (failed_pod(85, result=said(Reason.PREEMPTED)), Remedy.RETRY_FREE, "PodLost"),
        (failed_pod(137, disrupted=True), Remedy.RETRY_FREE, "PodLost"),
        (failed_pod(137, grace_ends_at=START), Remedy.RETRY_FREE, "PodLost"),
        (failed_pod(None, disrupted=True), Remedy.RETRY_FREE, "PodLost"),
        (pod("Failed", container_reason="TopologyAffinityError", refused=True), Remedy.RETRY_FREE, "PodLost"),
        (failed_pod(137), Remedy.RETRY, "InternalError"),
        (failed_pod(137, container_reason="OOMKilled"), Remedy.FAIL, "OutOfMemory"),
        (failed_pod(64, result=said(Reason.OUT_OF_MEMORY)), Remedy.FAIL, "OutOfMemory"),
        (failed_pod(64, result=said(Reason.GPU_OUT_OF_MEMORY)), Remedy.FAIL, "GpuOutOfMemory"),
        (failed_pod(137, container_reason="OOMKilled", grace_ends_at=START), Remedy.FAIL, "OutOfMemory"),
        (failed_pod(137, container_reason="OOMKilled", disrupted=True), Remedy.RETRY, "OutOfMemory"),
        (failed_pod(64, result=said(Reason.OUT_OF_MEMORY), disrupted=True), Remedy.RETRY, "OutOfMemory"),
        (failed_pod(137, container_reason="Evicted", disrupted=True), Remedy.RETRY_FREE, "PodLost"),
        (failed_pod(85, container_reason="Evicted", result=said(Reason.PREEMPTED)), Remedy.RETRY, "InternalError"),
        (failed_pod(85, container_reason="DeadlineExceeded"), Remedy.BUDGET, "GpuBudgetExhausted"),
        (failed_pod(1), Remedy.RETRY, "InternalError"),
        (failed_pod(None), Remedy.RETRY, "InternalError"),
        (pod("Succeeded", exit_code=0), Remedy.RETRY, "InternalError"),
    ],
)
def test_what_a_failed_pod_means(ended: ObservedPod, remedy: Remedy, reason: str) -> None:
    failure = classify(ended, StageKind.TRAIN, "4Gi")
    assert (failure.remedy, failure.reason) == (remedy, reason)
    assert failure.message


@pytest.mark.parametrize(
    "ended",
    [
        failed_pod(137, container_reason="Evicted"),
        failed_pod(137, disrupted=True),
        failed_pod(85, result=said(Reason.PREEMPTED)),
        pod("Failed", container_reason="OutOfcpu", refused=True),
    ],
)
def test_why_kubernetes_ended_a_pod_is_told(ended: ObservedPod) -> None:
    why = "the total limit of containers is 2Gi"
    message = classify(replace(ended, message=why), StageKind.TRAIN, None).message
    assert message.endswith(why)
    assert (ended.container_reason or "") in message
    assert why not in classify(ended, StageKind.TRAIN, None).message


def test_memory_that_is_lacking_whenever_a_pod_is_disrupted_ends_the_job_in_the_end() -> None:
    run = Run()
    planned = run.until(0, StageKind.PREPARE)
    killed = failed_pod(137, container_reason="OOMKilled", disrupted=True, message="Preempted by pod urgent")
    for _ in range(SETTINGS.max_counted_failures - 1):
        run.step(job_of(planned, killed))
        planned = created(run.step(seconds=300))
    run.step(job_of(planned, killed))
    ready = condition(run.status, ConditionType.READY)
    assert (run.status.phase, ready.reason) == (Phase.FAILED, "AttemptsExhausted")
    assert "spec.pods.prepare.resources.limits.memory" in ready.message
    assert ready.message.endswith("Kubernetes stopped pod pod-1 at that time: Preempted by pod urgent")


def test_out_of_memory_says_which_stage_and_limit() -> None:
    run = Run(resource(pods={"prepare": {"resources": {"limits": {"memory": "4Gi"}}}}))
    planned = run.until(0, StageKind.PREPARE)
    run.step(job_of(planned, failed_pod(137, container_reason="OOMKilled")))
    assert run.status.phase is Phase.FAILED
    message = condition(run.status, ConditionType.READY).message
    assert "prepare" in message
    assert "limit of 4Gi" in message
    assert "spec.pods.prepare.resources.limits.memory" in message


@pytest.mark.parametrize(
    ("container", "sized_by", "not_by"),
    [
        ("stage", "spec.pods.label.resources.limits.memory", "stages.smallContainerResources"),
        ("engine", "spec.pods.label.resources.limits.memory", "stages.smallContainerResources"),
        ("", "spec.pods.label.resources.limits.memory", "stages.smallContainerResources"),
        ("engine-probe", "stages.smallContainerResources", "spec.pods"),
        ("stage-in", "stages.smallContainerResources", "spec.pods"),
        ("stage-out", "stages.smallContainerResources", "spec.pods"),
    ],
)
@pytest.mark.parametrize("ended", [failed_pod(137, container_reason="OOMKilled"), failed_pod(64)])
def test_out_of_memory_names_what_sizes_the_container(
    ended: ObservedPod, container: str, sized_by: str, not_by: str
) -> None:
    result = said(Reason.OUT_OF_MEMORY, "no room for 9 GiB")
    message = classify(replace(ended, container=container, result=result), StageKind.LABEL, "4Gi").message
    assert message.startswith(f"container {container} of the label stage" if container else "the label stage")
    assert sized_by in message and not_by not in message
    assert ("4Gi" in message) is ("LimitRange" not in message) is (sized_by.startswith("spec"))
    assert message.endswith("or use smaller frames. It said: no room for 9 GiB")


def test_user_error_fails_now_in_the_workers_words() -> None:
    run = Run()
    planned = run.until(0, StageKind.PREPARE)
    decision = run.step(job_of(planned, failed_pod(64, result=said(Reason.BRANCH_REQUIRED, "branches are A, B"))))
    ready = condition(run.status, ConditionType.READY)
    assert (run.status.phase, ready.reason) == (Phase.FAILED, "BranchRequired")
    assert "branches are A, B" in ready.message
    assert [event.reason for event in decision.events if event.warning] == ["BranchRequired"]
    assert decision.requeue_after_seconds is None
    assert run.step().actions == ()


def test_preemptions_are_free_and_wait_longer_each_time_they_come_soon() -> None:
    run = Run()
    planned = run.until(0, StageKind.PREPARE)
    waits = []
    for attempt in range(1, 8):
        assert planned.spec.attempt == attempt
        preempted = job_of(planned, failed_pod(85, result=said(Reason.PREEMPTED), started_at=after(run.seconds)))
        decision = run.step(preempted)
        assert decision.actions == ()
        assert decision.requeue_after_seconds is not None
        waits.append(decision.requeue_after_seconds)
        planned = created(run.step(preempted, seconds=waits[-1]))
    assert waits == [10, 20, 40, 80, 160, 300, 300]
    assert run.status.active is not None
    assert run.status.active.counted_failures == 0


def test_the_waits_of_failures_and_preemptions_grow_apart() -> None:
    run = Run()
    planned = run.until(0, StageKind.PREPARE)
    waits = []
    for code in (75, 85, 75, 85):
        ended = job_of(planned, failed_pod(code, started_at=after(run.seconds)))
        waits.append(run.step(ended).requeue_after_seconds)
        planned = created(run.step(ended, seconds=300))
    assert waits == [10, 10, 20, 20]


@pytest.mark.parametrize(
    ("started_at", "ended_at", "wait"),
    [
        (0, 9, 1),
        (0, 10, 0),
        (0, 36000, 0),
        # no container had started
        (None, 3600, 10),
        # by the clock of a node that is ahead
        (36000, 9, 10),
    ],
)
def test_a_preempted_attempt_waits_from_its_start(started_at: float | None, ended_at: float, wait: float) -> None:
    run = Run()
    planned = run.until(0, StageKind.PREPARE)
    since = None if started_at is None else after(started_at)
    preempted = job_of(planned, failed_pod(85, started_at=since))
    decision = run.step(preempted, seconds=ended_at)
    if wait:
        assert (decision.actions, decision.requeue_after_seconds) == ((), wait)
    else:
        assert created(decision).spec.attempt == 2


def test_a_vanished_job_is_a_lost_attempt() -> None:
    run = Run()
    planned = run.until(0, StageKind.PREPARE)
    run.step(job_of(planned, pod()))
    again = created(run.step(seconds=10))
    assert (again.spec.attempt, again.spec.digest) == (2, planned.spec.digest)


def test_a_job_not_seen_yet_is_created_under_the_same_name() -> None:
    run = Run()
    planned = run.until(0, StageKind.PREPARE)
    assert created(run.step()) == planned


def test_no_next_attempt_beside_a_terminating_pod_until_its_node_is_lost() -> None:
    run = Run()
    planned = run.until(0, StageKind.PREPARE)
    hanging = job_of(planned, pod(grace_ends_at=START))
    decision = run.step(hanging, seconds=100)
    assert decision.actions == ()
    assert decision.requeue_after_seconds == SETTINGS.node_lost_after_seconds - 100
    decision = run.step(hanging, seconds=201)
    assert decision.actions == (DeleteJob(hanging.name, hanging.uid),)
    assert decision.requeue_after_seconds is None, "a time that is past is none to look again at"
    assert created(run.step(replace(hanging, deleting=True))).spec.attempt == 2


def test_no_next_attempt_while_a_deleted_job_is_still_there_with_its_pods_not_seen_yet() -> None:
    """The watch of the pods may be behind that of the Jobs: a Job deleted in the foreground outlives its pods."""
    run = Run()
    planned = run.until(0, StageKind.PREPARE)
    started = run.resource
    run.resource = replace(started, spec=started.spec.model_copy(update={"suspend": True}))
    run.step(job_of(planned))
    run.resource = started
    assert run.step(job_of(planned, deleting=True)).actions == ()
    assert created(run.step()).spec.attempt == 2


def test_a_pod_may_use_all_of_its_grace() -> None:
    run = Run()
    planned = run.until(0, StageKind.PREPARE)
    slow = job_of(planned, pod(grace_ends_at=after(1800)))
    assert run.step(slow, seconds=1800).actions == ()
    assert run.status.active is not None
    assert run.status.active.attempt == 1


def test_a_job_that_is_being_deleted_is_not_looked_at_over_and_over() -> None:
    run = Run()
    planned = run.until(0, StageKind.PREPARE)
    going = replace(job_of(planned), pods=(), deleting=True)
    assert run.step(going, seconds=600).requeue_after_seconds == DELETION_LOOK_SECONDS


def test_a_pod_that_hangs_does_not_end_the_others_of_its_stage() -> None:
    run = Run()
    planned = run.until(0, StageKind.LABEL)
    hanging = pod(name="pod-0", index=0, grace_ends_at=START)
    run.step(job_of(planned, hanging, pod(name="pod-1", index=1)), seconds=SETTINGS.node_lost_after_seconds + 1)
    assert run.status.active is not None
    assert run.status.active.state is ActiveState.CREATED
    ended = pod("Succeeded", name="pod-1", index=1)
    run.step(job_of(planned, hanging, ended), seconds=1)
    assert run.status.active.state is ActiveState.BACKOFF


def test_a_stage_whose_pods_all_hang_waits_for_the_last_of_them() -> None:
    run = Run()
    planned = run.until(0, StageKind.LABEL)
    patience = SETTINGS.node_lost_after_seconds
    hanging = pod(name="pod-0", index=0, grace_ends_at=START)
    ending = pod(name="pod-1", index=1, grace_ends_at=after(patience - 5))
    job = job_of(planned, hanging, ending)
    assert run.step(job, seconds=patience + 1 - run.seconds).requeue_after_seconds == patience - 6
    run.step(job, seconds=patience - 5)
    assert run.status.active is not None
    assert run.status.active.state is ActiveState.BACKOFF
    assert created(run.step(replace(job, deleting=True), seconds=1)).spec.attempt == 2


@pytest.mark.parametrize(
    ("stage", "follows"), [(StageKind.EXPLORE, StageKind.SELECT), (StageKind.LABEL, StageKind.TRAIN)]
)
def test_a_stage_that_lacks_pods_is_run_again_and_goes_on_in_the_end(stage: StageKind, follows: StageKind) -> None:
    run = Run()
    planned = run.until(0, stage)
    for attempt in range(1, SETTINGS.max_counted_failures + 1):
        assert planned.spec.attempt == attempt
        lost = failed_pod(75, result=said(Reason.INTERNAL_ERROR, "no answer"))
        run.step(_lacking_the_last(planned, lost), seconds=1)
        if attempt < SETTINGS.max_counted_failures:
            assert "StageRetried" in [event.reason for event in run.decision.events]
            planned = created(run.step(seconds=1000))
    (told,) = [event for event in run.decision.events if event.reason == "StageIncomplete"]
    assert (told.warning, f"without 1 of its {planned.completions} pods' results" in told.message) == (True, True)
    assert "no answer" in told.message
    assert created(run.decision).spec.stage is follows


@pytest.mark.parametrize(
    ("stage", "attempts", "follows"), [(StageKind.EXPLORE, 1, StageKind.SELECT), (StageKind.LABEL, 3, StageKind.TRAIN)]
)
@pytest.mark.parametrize(
    "ended",
    [
        failed_pod(137, container_reason="OOMKilled"),
        failed_pod(64, result=said(Reason.OUT_OF_MEMORY)),
        failed_pod(64, result=said(Reason.GPU_OUT_OF_MEMORY)),
    ],
)
def test_a_stage_whose_pods_ran_out_of_memory_goes_on_without_them_but_for_labels_that_are_paid(
    stage: StageKind, attempts: int, follows: StageKind, ended: ObservedPod
) -> None:
    run = Run()
    planned = run.until(0, stage)
    for _ in range(attempts - 1):
        run.step(_lacking_the_last(planned, ended), seconds=1)
        (told,) = run.decision.events
        assert (told.reason, "OutOfMemory) and is tried again" in told.message) == ("StageRetried", True)
        planned = created(run.step(seconds=1000))
    job = _lacking_the_last(planned, ended)
    # what the others do is not cut off
    works = replace(job, pods=(pod(index=0), job.pods[-1]), succeeded_indexes=0)
    assert run.step(works, seconds=1).events == ()
    run.step(job, seconds=1)
    assert [event.reason for event in run.decision.events] == ["StageIncomplete"]
    assert created(run.decision).spec.stage is follows


def test_pods_that_found_different_files_are_no_stage_and_are_run_again() -> None:
    run = Run()
    planned = run.until(0, StageKind.LABEL)
    job = succeeded(planned)
    first, *others = job.pods
    assert first.result is not None
    edited = replace(first, result=first.result.model_copy(update={"digest": "ef" * 32}))
    run.step(replace(job, pods=(edited, *others)), seconds=1)
    assert run.status.active is not None
    assert (run.status.active.state, run.status.active.counted_failures) == (ActiveState.BACKOFF, 1)
    (told,) = run.decision.events
    assert "(InputsChanged)" in told.message and "ConfigMap" in told.message
    again = created(run.step(seconds=1000))
    run.step(succeeded(again), seconds=1)
    assert created(run.decision).spec.stage is StageKind.TRAIN


def _lacking_the_last(planned: PlannedJob, last: ObservedPod) -> ObservedJob:
    job = succeeded(planned)
    *others, gone = job.pods
    failed = replace(last, name=gone.name, index=gone.index)
    return replace(job, pods=(*others, failed), succeeded_indexes=len(others), failed_indexes=1)


def test_a_pod_whose_index_succeeded_since_says_nothing() -> None:
    run = Run()
    planned = run.until(0, StageKind.EXPLORE)
    killed = failed_pod(137, name="pod-1", index=1, container_reason="OOMKilled")
    evicted = failed_pod(137, name="pod-2", index=0, created_at=after(1), disrupted=True)
    reached = replace(evicted, disrupted=False, container_reason="DeadlineExceeded")
    done = replace(succeeded(planned).pods[0], created_at=after(2))
    job = job_of(planned, killed, evicted, done, succeeded_indexes=1, failed_indexes=1)
    run.step(job, seconds=3)
    (told,) = run.decision.events
    assert (told.reason, "needs more memory" in told.message) == ("StageIncomplete", True)
    complete = job_of(planned, reached, *succeeded(planned).pods, succeeded_indexes=2, finished="Complete")
    assert isinstance(end_as_seen(complete), Success)


def test_a_failed_pod_whose_index_is_tried_again_ends_no_stage() -> None:
    run = Run()
    planned = run.until(0, StageKind.LABEL)
    assert planned.completions == 3
    lost = failed_pod(75, name="pod-2", index=2, result=said(Reason.ENGINE_LOST))
    job = succeeded(planned)
    run.step(replace(job, pods=(*job.pods[:2], lost), succeeded_indexes=2, failed_indexes=0))
    assert [record.stage for record in run.status.stages][-1] == "select"


def test_a_user_error_of_one_index_fails_now() -> None:
    run = Run()
    planned = run.until(0, StageKind.LABEL)
    refused = failed_pod(64, index=0, result=said(Reason.PSEUDOPOTENTIAL_MISSING, "Si.psp8"))
    job = job_of(planned, refused, pod(name="pod-2", index=1))
    decision = run.step(job)
    assert condition(run.status, ConditionType.READY).reason == "PseudopotentialMissing"
    assert decision.actions == (DeleteJob(job.name, job.uid),)


def test_all_indexes_failed_is_a_failed_attempt() -> None:
    run = Run()
    planned = run.until(0, StageKind.EXPLORE)
    pods = [failed_pod(75, name=f"pod-{i}", index=i, result=said(Reason.INTERNAL_ERROR)) for i in range(2)]
    run.step(job_of(planned, *pods, failed_indexes=2))
    assert run.status.active is not None
    assert run.status.active.counted_failures == 1
    assert not [action for action in run.decision.actions if isinstance(action, CreateJob)]


def test_a_pod_that_succeeded_counts_before_its_job_says_so_and_doubles_change_nothing() -> None:
    run = Run()
    planned = run.until(0, StageKind.PREPARE)
    job = succeeded(planned)
    doubled = replace(job, pods=(failed_pod(1, name="pod-0"), *job.pods))
    run.step(doubled)
    assert [record.stage for record in run.status.stages] == [StageKind.PREPARE]
    assert run.status.inputs["prepare"].digest == "cd" * 32


def test_only_what_is_not_seen_has_to_be_asked_for() -> None:
    run = Run()
    planned = run.until(0, StageKind.PREPARE)
    assert not run.decision.unseen
    run.step(job_of(planned, pod()))
    assert not run.decision.unseen
    before = run.status
    # a Job that was seen, and one that is complete without a pod: perhaps the caches are behind
    assert run.step().unseen
    run.status = before
    assert run.step(job_of(planned, finished="Complete")).unseen
    run.status = before
    # a pod says so; but that none of an earlier attempt lives, which the next one rests on, is not seen
    assert not run.step(job_of(planned, failed_pod(75))).unseen
    assert run.step(job_of(planned, failed_pod(75)), seconds=60).unseen

"""Jobs and pods, as the API server shows them, become the facts that decide."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from pfd_operator.contract.result import Reason, StageResult
from pfd_operator.contract.stage import StageKind
from pfd_operator.kube.observe import (
    observed_jobs,
    observed_pod,
    parse_job,
    parse_pod,
    read_job,
    read_pod,
    timestamp,
    with_pods,
)
from pfd_operator.kube.owner import Owner

LABELS = {
    "pfd.dev/job": "silicon",
    "pfd.dev/kind": "FineTuneJob",
    "pfd.dev/uid": "uid-1",
    "pfd.dev/iteration": "2",
    "pfd.dev/stage": "label",
    "pfd.dev/attempt": "1",
}
JOB_NAME = "silicon-uid--i002-label-a1"
OWNER = {"kind": "FineTuneJob", "name": "silicon", "uid": "uid-1", "controller": True}


def pod(status: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    base = {
        "name": "silicon-x",
        "namespace": "lab",
        "labels": LABELS,
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "ownerReferences": [{"kind": "Job", "name": JOB_NAME, "uid": "job-1", "controller": True}],
    }
    return {"metadata": base | metadata, "status": status}


def ended(name: str, code: int, minute: int, reason: str = "", message: str = "") -> dict[str, Any]:
    times = {"startedAt": "2026-01-01T00:00:05Z", "finishedAt": f"2026-01-01T00:{minute:02d}:00Z"}
    return {"name": name, "state": {"terminated": {"exitCode": code, "reason": reason, "message": message, **times}}}


def job(**status: Any) -> dict[str, Any]:
    metadata = {
        "name": JOB_NAME,
        "namespace": "lab",
        "uid": "job-1",
        "labels": LABELS,
        "annotations": {"pfd.dev/progress-token": "secret"},
        "ownerReferences": [OWNER],
        "creationTimestamp": "2026-01-01T00:00:00Z",
    }
    spec = {"completionMode": "Indexed", "completions": 8, "parallelism": 4, "backoffLimitPerIndex": 3}
    return {"metadata": metadata, "spec": spec, "status": status}


def test_job_counts_its_indexes() -> None:
    cached = parse_job(job(completedIndexes="0,2-4", failedIndexes="6"))
    assert cached is not None
    assert (cached.observed.succeeded_indexes, cached.observed.failed_indexes) == (4, 1)
    assert (cached.observed.iteration, cached.observed.stage, cached.observed.completions) == (2, StageKind.LABEL, 8)
    assert (cached.owner, cached.token) == (Owner("lab", "uid-1"), "secret")


@pytest.mark.parametrize(("reason", "exceeded"), [("DeadlineExceeded", True), ("BackoffLimitExceeded", False)])
def test_a_job_that_took_too_long_says_so(reason: str, exceeded: bool) -> None:
    ended = {"type": "Failed", "status": "True", "reason": reason, "lastTransitionTime": "2026-01-01T02:00:00Z"}
    cached = parse_job(job(conditions=[{"type": "Suspended", "status": "False"}, ended]))
    assert cached is not None
    assert (cached.observed.finished, cached.observed.deadline_exceeded) == ("Failed", exceeded)
    assert cached.observed.finished_at == datetime(2026, 1, 1, 2, tzinfo=UTC)
    assert (cached.observed.parallelism, cached.observed.nodes) == (4, 1)


SUSPENDED = {"type": "Suspended", "status": "True", "lastTransitionTime": "2026-01-01T03:00:00Z"}


@pytest.mark.parametrize(
    ("suspended", "conditions", "since"),
    [
        (True, [], "2026-01-01T00:00:00Z"),
        (True, [SUSPENDED], "2026-01-01T03:00:00Z"),
        # suspended anew, which its condition says a little later
        (True, [SUSPENDED | {"status": "False"}], None),
        (False, [SUSPENDED | {"status": "False"}], None),
    ],
)
def test_a_job_says_since_when_it_waits(suspended: bool, conditions: list[dict[str, str]], since: str | None) -> None:
    body = job(conditions=conditions)
    body["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    body["spec"]["suspend"] = suspended
    cached = parse_job(body)
    assert cached is not None
    assert cached.observed.suspended_at == timestamp(since)


@pytest.mark.parametrize(
    ("annotations", "gpus"), [({"pfd.dev/gpus": "2"}, 2), ({"pfd.dev/gpus": "two"}, None), ({}, None)]
)
def test_a_job_says_what_its_pods_have(annotations: dict[str, str], gpus: int | None) -> None:
    body = job()
    body["spec"]["template"] = {"metadata": {"annotations": annotations}}
    cached = parse_job(body)
    assert cached is not None
    assert cached.observed.gpus == gpus


def test_pods_that_work_together_have_one_result() -> None:
    body = job(completedIndexes="1")
    body["spec"] = {"completionMode": "Indexed", "completions": 2, "parallelism": 2, "backoffLimit": 0}
    cached = parse_job(body)
    assert cached is not None
    assert (cached.observed.completions, cached.observed.nodes) == (None, 2)


def test_pods_are_ahead_of_their_job() -> None:
    cached = parse_job(job(completedIndexes="0"))
    pods = [
        parse_pod(pod({"phase": phase}, annotations={"batch.kubernetes.io/job-completion-index": index}))
        for phase, index in (("Succeeded", "0"), ("Succeeded", "1"), ("Failed", "2"), ("Running", "3"))
    ]
    assert cached is not None
    joined = with_pods(cached, [item for item in pods if item is not None])
    assert (joined.succeeded_indexes, len(joined.pods)) == (2, 4)


def test_job_is_finished_by_its_condition_only() -> None:
    target = {"type": "FailureTarget", "status": "True", "reason": "BackoffLimitExceeded"}
    failed = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "why"}
    early, late = parse_job(job(conditions=[target])), parse_job(job(conditions=[target, failed]))
    assert early is not None and early.observed.finished is None
    assert late is not None
    assert late.observed.finished == "Failed"


def test_objects_of_others_are_ignored() -> None:
    foreign = job()
    foreign["metadata"]["labels"] = {**LABELS, "pfd.dev/iteration": "many"}
    assert parse_job(foreign) is None
    orphan = pod({})
    orphan["metadata"]["ownerReferences"] = []
    assert parse_pod(orphan) is None


@pytest.mark.parametrize(
    ("text", "index"),
    [("7", 7), ("x", None), ("", None), ("-1", None), ("٣", None), ("9" * 5000, None)],
    ids=["index", "letter", "empty", "negative", "of another script", "longer than int() takes"],
)
def test_an_odd_index_is_none(text: str, index: int | None) -> None:
    """Anyone who may create pods can make one with our labels and such an annotation."""
    parsed = parse_pod(pod({"phase": "Running"}, annotations={"batch.kubernetes.io/job-completion-index": text}))
    assert parsed is not None
    assert parsed.observed.index == index


def test_pod_that_cannot_pull_its_image() -> None:
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "x"'}}
    seen = observed_pod(pod({"phase": "Pending", "containerStatuses": [{"name": "stage", "state": waiting}]}))
    assert (seen.waiting_reason, seen.waiting_message) == ("ImagePullBackOff", 'Back-off pulling image "x"')


def test_pod_that_fits_nowhere() -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}
    seen = observed_pod(pod({"phase": "Pending", "conditions": [condition]}))
    assert (seen.waiting_reason, seen.waiting_message) == ("Unschedulable", "0/1 nodes")
    assert seen.scheduled_at is None
    since = {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-01-01T00:00:30Z"}
    seen = observed_pod(pod({"phase": "Pending", "conditions": [since]}))
    assert seen.scheduled_at == datetime(2026, 1, 1, 0, 0, 30, tzinfo=UTC)


def test_starting_is_not_waiting() -> None:
    waiting = {"waiting": {"reason": "ContainerCreating"}}
    seen = observed_pod(pod({"phase": "Pending", "containerStatuses": [{"name": "stage", "state": waiting}]}))
    assert seen.waiting_reason is None


def test_first_container_to_fail_speaks_and_stage_out_has_the_result() -> None:
    result = StageResult(ok=False, reason=Reason.ENGINE_LOST, message="the engine died")
    status = {
        "phase": "Failed",
        "initContainerStatuses": [ended("stage-in", 0, 1, "Completed", StageResult(ok=True).to_termination_message())],
        "containerStatuses": [
            ended("stage-out", 75, 4, "Error", result.to_termination_message()),
            ended("engine", 137, 3, "OOMKilled"),
        ],
    }
    annotations = {"batch.kubernetes.io/job-completion-index": "3"}
    seen = observed_pod(pod(status, annotations=annotations))
    assert (seen.exit_code, seen.container, seen.container_reason) == (137, "engine", "OOMKilled")
    assert seen.result == result
    assert seen.index == 3
    assert seen.started_at == datetime(2026, 1, 1, 0, 0, 5, tzinfo=UTC)
    assert seen.finished_at == datetime(2026, 1, 1, 0, 4, tzinfo=UTC)


def test_stage_in_speaks_only_when_it_failed() -> None:
    good = ended("stage-in", 0, 1, "Completed", StageResult(ok=True).to_termination_message())
    assert observed_pod(pod({"phase": "Running", "initContainerStatuses": [good]})).result is None
    bad = StageResult(ok=False, reason=Reason.STORE_DENIED, message="403")
    status = {
        "phase": "Failed",
        "initContainerStatuses": [ended("stage-in", 64, 1, "Error", bad.to_termination_message())],
    }
    assert observed_pod(pod(status)).result == bad


def test_an_engine_that_failed_early_does_not_end_the_pod() -> None:
    running = {"name": "stage-out", "state": {"running": {"startedAt": "2026-01-01T00:00:06Z"}}}
    seen = observed_pod(pod({"phase": "Running", "containerStatuses": [ended("engine", 1, 1), running]}))
    assert seen.exit_code is None
    assert seen.finished_at is None


def test_cut_termination_message_is_a_lost_result() -> None:
    status = {"phase": "Succeeded", "containerStatuses": [ended("stage", 0, 1, "Completed", '{"ok": tr')]}
    seen = observed_pod(pod(status))
    assert (seen.result, seen.exit_code) == (None, 0)


def test_deadline_outranks_the_container_it_killed() -> None:
    status = {"phase": "Failed", "reason": "DeadlineExceeded", "containerStatuses": [ended("stage", 143, 1, "Error")]}
    assert observed_pod(pod(status)).container_reason == "DeadlineExceeded"


def test_disrupted_and_deleted() -> None:
    condition = {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager"}
    deletion = {"deletionTimestamp": "2026-01-01T00:01:00Z", "deletionGracePeriodSeconds": 60}
    seen = observed_pod(pod({"phase": "Running", "conditions": [condition]}, **deletion))
    assert seen.disrupted and not seen.refused
    # until then it may still work
    assert seen.grace_ends_at == datetime(2026, 1, 1, 0, 1, tzinfo=UTC)


def test_why_kubernetes_ended_a_pod() -> None:
    target = {"type": "DisruptionTarget", "status": "True", "message": "low on memory"}
    evicted = {"phase": "Failed", "reason": "Evicted", "containerStatuses": [ended("stage", 137, 1, "Error")]}
    seen = observed_pod(pod(evicted | {"message": "exceeds 2Gi"}))
    assert (seen.container_reason, seen.message, seen.refused) == ("Evicted", "exceeds 2Gi", False)
    assert observed_pod(pod(evicted | {"conditions": [target]})).message == "low on memory"
    refused = {"phase": "Failed", "reason": "OutOfcpu", "message": "Pod was rejected: too little cpu"}
    seen = observed_pod(pod(refused))
    assert (seen.container_reason, seen.message, seen.refused) == ("OutOfcpu", "Pod was rejected: too little cpu", True)


def test_a_job_that_is_gone_lives_on_in_its_pods() -> None:
    running, done = pod({"phase": "Running"}), pod({"phase": "Succeeded"}, name="silicon-y")
    reads = [read for each in (running, done) if (read := read_pod(each)) is not None]
    (gone,) = observed_jobs("silicon", "uid-1", [], reads)
    told = (gone.name, gone.iteration, gone.stage, gone.attempt, gone.deleting)
    assert told == (JOB_NAME, 2, StageKind.LABEL, 1, True)
    # how many indexes there were is not known any more: what one of them said must not end the stage
    assert [each.phase for each in gone.pods] == ["Running"]
    assert observed_jobs("silicon", "uid-1", [], reads[1:]) == ()
    (present,) = observed_jobs("silicon", "uid-1", [read_job(job())], reads)
    assert (len(present.pods), present.deleting) == (2, False)


COPIES = ["debug", f"{JOB_NAME}-debug", f"debug-{JOB_NAME}", JOB_NAME.replace("a1", "a2")]


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_of_a_job_is_its_makers_also_where_it_names_our_resource_as_its_owner(name: str) -> None:
    """The planner would stop it as a Job that nobody wants."""
    copied = job()
    copied["metadata"]["name"] = name
    assert parse_job(copied) is None


def test_a_job_without_our_resource_as_its_controller_is_its_makers_whatever_its_name() -> None:
    for owners in ([], [{**OWNER, "controller": False}], [{**OWNER, "name": "silver"}], [{**OWNER, "uid": "other"}]):
        copied = job()
        copied["metadata"]["ownerReferences"] = owners
        assert parse_job(copied) is None


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_of_a_job_that_somebody_else_runs_is_none_of_ours_that_is_gone(name: str) -> None:
    copied = [{"kind": "Job", "name": name, "uid": "job-9", "controller": True}]
    read = read_pod(pod({"phase": "Running"}, ownerReferences=copied))
    assert read is not None
    assert observed_jobs("silicon", "uid-1", [], [read]) == ()


def test_pods_of_a_job_that_somebody_made_under_the_name_of_ours_are_none_of_one_that_is_gone() -> None:
    copied = job()
    del copied["metadata"]["ownerReferences"]
    read = read_pod(pod({"phase": "Running"}))
    assert read is not None
    assert observed_jobs("silicon", "uid-1", [read_job(copied)], [read]) == ()

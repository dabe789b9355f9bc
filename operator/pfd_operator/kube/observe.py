"""Job and Pod objects → the few facts the planner decides on. Pure functions."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, get_args

from pfd_operator.contract.result import StageResult
from pfd_operator.contract.stage import StageKind
from pfd_operator.plan.indexes import read_indexes
from pfd_operator.plan.names import job_name
from pfd_operator.plan.observed import ENDED_PHASES, JobEnd, ObservedJob, ObservedPod
from pfd_operator.render.labels import (
    ATTEMPT_LABEL,
    GPUS_ANNOTATION,
    ITERATION_LABEL,
    KIND_LABEL,
    STAGE_LABEL,
    TOKEN_ANNOTATION,
    UID_LABEL,
)

from .containers import container_facts
from .owner import Owner

OURS = KIND_LABEL
"""Label selector of everything the operator creates."""

Object = Mapping[str, Any]
Identity = tuple[int, StageKind, int]
"""Iteration, stage and attempt of a Job, by its labels."""


@dataclass(frozen=True)
class CachedJob:
    """A Job of ours: where it belongs, its progress token, and what the planner sees."""

    key: tuple[str, str]
    owner: Owner
    """Its custom resource."""
    token: str
    observed: ObservedJob
    succeeded: frozenset[int] = frozenset()
    """Indexes that the Job controller counted as succeeded."""

    @property
    def as_owner(self) -> Owner:
        """What its pods belong to."""
        return Owner(self.key[0], self.observed.uid)


@dataclass(frozen=True)
class CachedPod:
    """A pod of a Job of ours."""

    key: tuple[str, str]
    owner: Owner
    """Its Job."""
    resource: Owner
    observed: ObservedPod


def parse_job(job: Object) -> CachedJob | None:
    """Return what is kept of a Job; None if its labels are not ours, or it is somebody's copy of one of ours."""
    metadata = job["metadata"]
    owner = _controller(metadata)
    identity = _identity(metadata.get("labels", {}))
    # a copy that somebody made, to look for a fault, may have all of ours but the name
    if owner is None or identity is None or metadata["name"] != job_name(owner["name"], owner["uid"], *identity):
        return None
    iteration, stage, attempt = identity
    status = job.get("status", {})
    conditions = status.get("conditions", ())
    finished, suspended = _finished(conditions), job["spec"].get("suspend", False)
    succeeded = read_indexes(status.get("completedIndexes", ""))
    # without retries of its own an index is one of several pods that work on one result
    indexed = "backoffLimitPerIndex" in job["spec"]
    of_pods = job["spec"].get("template", {}).get("metadata", {}).get("annotations", {})
    return CachedJob(
        key=(metadata["namespace"], metadata["name"]),
        owner=Owner(metadata["namespace"], owner["uid"]),
        token=metadata.get("annotations", {}).get(TOKEN_ANNOTATION, ""),
        observed=ObservedJob(
            name=metadata["name"],
            uid=metadata["uid"],
            iteration=iteration,
            stage=stage,
            attempt=attempt,
            created_at=timestamp(metadata.get("creationTimestamp")),
            deleting="deletionTimestamp" in metadata,
            suspended=suspended,
            suspended_at=_suspended_since(metadata, conditions) if suspended else None,
            released_at=timestamp(status.get("startTime")),
            finished=finished,
            finished_at=_since(conditions, finished),
            deadline_exceeded=any(item.get("reason") == "DeadlineExceeded" for item in conditions),
            completions=job["spec"]["completions"] if indexed else None,
            parallelism=job["spec"].get("parallelism", 1),
            gpus=_number(of_pods.get(GPUS_ANNOTATION, "")),
            succeeded_indexes=len(succeeded),
            failed_indexes=len(read_indexes(status.get("failedIndexes", ""))),
        ),
        succeeded=succeeded,
    )


def parse_pod(pod: Object) -> CachedPod | None:
    """Return what is kept of a pod; None if no Job owns it."""
    metadata = pod["metadata"]
    owner = _controller(metadata)
    labels = metadata.get("labels", {})
    if owner is None or owner["kind"] != "Job" or UID_LABEL not in labels:
        return None
    return CachedPod(
        key=(metadata["namespace"], metadata["name"]),
        owner=Owner(metadata["namespace"], owner["uid"]),
        resource=Owner(metadata["namespace"], labels[UID_LABEL]),
        observed=observed_pod(pod),
    )


def with_pods(job: CachedJob, pods: Iterable[CachedPod]) -> ObservedJob:
    """Join a Job with its pods: they say that an index succeeded up to a second before the Job controller counts it."""
    observed = tuple(pod.observed for pod in pods)
    seen = {pod.index for pod in observed if pod.phase == "Succeeded" and pod.index is not None}
    succeeded = len(job.succeeded | seen) if job.observed.completions is not None else job.observed.succeeded_indexes
    return replace(job.observed, pods=observed, succeeded_indexes=succeeded)


@dataclass(frozen=True)
class ReadJob:
    """A Job as it was read from the server."""

    as_owner: Owner
    job: CachedJob | None
    """None if it is somebody's copy of one of ours."""


@dataclass(frozen=True)
class ReadPod:
    """A pod as it was read from the server, without the rest of its kilobytes."""

    pod: CachedPod
    job: ObservedJob | None
    """What a pod that has not ended says of its Job, should that be gone."""


def read_job(job: Object) -> ReadJob:
    """Return what is kept of a Job that was read."""
    return ReadJob(Owner(job["metadata"]["namespace"], job["metadata"]["uid"]), parse_job(job))


def read_pod(pod: Object) -> ReadPod | None:
    """Return what is kept of a pod that was read; None if no Job owns it."""
    kept = parse_pod(pod)
    if kept is None:
        return None
    return ReadPod(kept, None if kept.observed.ended else _job_of_orphan(pod))


def observed_jobs(resource: str, uid: str, jobs: Iterable[ReadJob], pods: Iterable[ReadPod]) -> tuple[ObservedJob, ...]:
    """Join the Jobs and pods of a resource, all of its namespace; of a Job that is gone, what its live pods say.

    Parameters
    ----------
    resource, uid
        Name and uid of the resource.
    """
    by_job: dict[Owner, list[ReadPod]] = defaultdict(list)
    for read in pods:
        by_job[read.pod.owner].append(read)
    there = [(read.job, by_job.pop(read.as_owner, [])) for read in jobs]
    present = [with_pods(job, [read.pod for read in reads]) for job, reads in there if job is not None]
    # deleted in the background, a Job is gone before its pods
    orphans = [job for reads in by_job.values() if (job := _of_orphans(reads)) is not None]
    gone = [job for job in orphans if job.name == job_name(resource, uid, job.iteration, job.stage, job.attempt)]
    return (*present, *gone)


def _of_orphans(reads: Iterable[ReadPod]) -> ObservedJob | None:
    """Return a Job that is gone with those of its pods that live: how many indexes there were is gone with it, too."""
    live = [(read.job, read.pod.observed) for read in reads if read.job is not None]
    return replace(live[-1][0], pods=tuple(pod for _, pod in live)) if live else None


def observed_pod(pod: Object) -> ObservedPod:
    """Return what decides about a pod."""
    metadata, status = pod["metadata"], pod.get("status", {})
    conditions = {item["type"]: item for item in status.get("conditions", ())}
    facts = container_facts(status)
    waiting_reason, waiting_message = facts.waiting_reason, facts.waiting_message
    scheduled, disruption = conditions.get("PodScheduled", {}), conditions.get("DisruptionTarget", {})
    if waiting_reason is None and scheduled.get("status") == "False":
        waiting_reason, waiting_message = scheduled.get("reason"), scheduled.get("message", "")
    ended = status.get("phase") in ENDED_PHASES
    return ObservedPod(
        name=metadata["name"],
        phase=status.get("phase", "Unknown"),
        index=_number(metadata.get("annotations", {}).get("batch.kubernetes.io/job-completion-index", "")),
        created_at=timestamp(metadata.get("creationTimestamp")),
        scheduled_at=timestamp(scheduled.get("lastTransitionTime")) if scheduled.get("status") == "True" else None,
        started_at=facts.started_at,
        finished_at=facts.finished_at if ended else None,
        grace_ends_at=timestamp(metadata.get("deletionTimestamp")),
        waiting_reason=waiting_reason,
        waiting_message=waiting_message,
        exit_code=facts.exit_code if ended else None,
        # the pod's own reason (DeadlineExceeded, Evicted) says more than its containers' "Error"
        container_reason=(status.get("reason") if ended else None) or facts.failed_reason,
        container=facts.failed_container,
        result=StageResult.from_termination_message(facts.message) if facts.message else None,
        disrupted=disruption.get("status") == "True",
        refused=status.get("phase") == "Failed" and not facts.any and "deletionTimestamp" not in metadata,
        message=status.get("message") or disruption.get("message", ""),
    )


def _number(text: str) -> int | None:
    # anyone may write such an annotation, and int() takes more than is written there, and refuses long ones
    return int(text) if re.fullmatch("[0-9]{1,9}", text) else None


def timestamp(text: str | None) -> datetime | None:
    """Parse a Kubernetes time; None stays None."""
    return None if text is None else datetime.fromisoformat(text)


def _controller(metadata: Object) -> Mapping[str, str] | None:
    return next((owner for owner in metadata.get("ownerReferences", ()) if owner.get("controller")), None)


def _job_of_orphan(pod: Object) -> ObservedJob | None:
    """Return a Job that is gone as its pod knows it; None if that does not say which one it was."""
    owner, identity = _controller(pod["metadata"]), _identity(pod["metadata"].get("labels", {}))
    if owner is None or identity is None:
        return None
    iteration, stage, attempt = identity
    return ObservedJob(owner["name"], owner["uid"], iteration, stage, attempt, deleting=True)


def _identity(labels: Mapping[str, str]) -> Identity | None:
    try:
        return int(labels[ITERATION_LABEL]), StageKind(labels[STAGE_LABEL]), int(labels[ATTEMPT_LABEL])
    except (KeyError, ValueError):
        return None


def _finished(conditions: Sequence[Object]) -> JobEnd | None:
    given = {item["type"] for item in conditions if item["status"] == "True"}
    ends: tuple[JobEnd, ...] = get_args(JobEnd)
    return next((end for end in ends if end in given), None)


def _since(conditions: Sequence[Object], kind: str | None) -> datetime | None:
    """Return since when a condition of this type holds; None if it does not."""
    held = (item for item in conditions if item["type"] == kind and item["status"] == "True")
    return timestamp(next(held, {}).get("lastTransitionTime"))


def _suspended_since(metadata: Object, conditions: Sequence[Object]) -> datetime | None:
    """Return since when a Job is suspended: from its beginning, unless it says that it was not, before."""
    if any(item["type"] == "Suspended" for item in conditions):
        return _since(conditions, "Suspended")
    return timestamp(metadata.get("creationTimestamp"))

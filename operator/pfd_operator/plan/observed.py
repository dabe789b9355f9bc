"""What is seen of a resource's children, and of the FineTuneJob that it names: plain values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pfd_operator.api.conditions import Phase
from pfd_operator.api.status import TeacherRecord
from pfd_operator.contract.location import S3Location
from pfd_operator.contract.result import Progress, StageResult
from pfd_operator.contract.selection import Apart
from pfd_operator.contract.stage import StageKind

PodPhase = Literal["Pending", "Running", "Succeeded", "Failed", "Unknown"]
ENDED_PHASES: tuple[PodPhase, ...] = ("Succeeded", "Failed")
"""Of a pod that is over."""
JobEnd = Literal["Complete", "Failed"]


@dataclass(frozen=True)
class ObservedPod:
    """A pod of a stage's Job, reduced to what decides."""

    name: str
    phase: PodPhase
    index: int | None = None
    created_at: datetime | None = None
    scheduled_at: datetime | None = None
    started_at: datetime | None = None
    """Start of its first container."""
    finished_at: datetime | None = None
    grace_ends_at: datetime | None = None
    """When what is left of it is killed; None if it is not being deleted."""
    waiting_reason: str | None = None
    """Why it does not run: ImagePullBackOff, Unschedulable, CreateContainerConfigError, …"""
    waiting_message: str = ""
    exit_code: int | None = None
    """Of the first container that failed, or 0."""
    container_reason: str | None = None
    """OOMKilled, Error, … of that container."""
    container: str = ""
    result: StageResult | None = None
    disrupted: bool = False
    """The pod has a DisruptionTarget condition: evicted, preempted, its node drained or lost."""
    refused: bool = False
    """It failed without ever having had a container, and nobody deleted it: its node did not admit it."""
    message: str = ""
    """Why Kubernetes ended it, if it was Kubernetes."""

    @property
    def ended(self) -> bool:
        """Whether none of its containers runs any more, or will."""
        return self.phase in ENDED_PHASES

    def seconds_until(self, now: datetime) -> float:
        """Return how long its containers ran, or have run, in s."""
        if self.started_at is None:
            return 0.0
        return max(0.0, ((self.finished_at or now) - self.started_at).total_seconds())


@dataclass(frozen=True)
class ObservedJob:
    """A batch/v1 Job owned by the resource."""

    name: str
    uid: str
    iteration: int
    stage: StageKind
    attempt: int
    created_at: datetime | None = None
    deleting: bool = False
    suspended: bool = False
    """It waits in a queue, before its pods start or after they were preempted."""
    suspended_at: datetime | None = None
    """Since when, if it does and that is known."""
    released_at: datetime | None = None
    """When it last began, or began again, to have pods."""
    finished: JobEnd | None = None
    finished_at: datetime | None = None
    deadline_exceeded: bool = False
    """It failed since it took as long as it might."""
    completions: int | None = None
    """Indexes, each with a result of its own; None for a stage with one result."""
    parallelism: int = 1
    """Pods at a time."""
    gpus: int | None = None
    """GPUs of each pod, as its Job was made; None if they are not known."""
    succeeded_indexes: int = 0
    failed_indexes: int = 0
    pods: tuple[ObservedPod, ...] = ()
    gone_pods_seconds: float = 0.0
    """Time of containers whose pods were deleted (evicted, preempted, by hand), in s."""

    @property
    def nodes(self) -> int:
        """Pods that work on one result together."""
        return self.parallelism if self.completions is None else 1


@dataclass(frozen=True)
class ObservedTeacher:
    """A FineTuneJob seen from a DistillJob that is to begin with its model."""

    phase: Phase
    end: str = ""
    """How it ended, and why, in words."""
    record: TeacherRecord | None = None
    """What to go on with once it has ended, if it has a model."""
    s3: S3Location | None = None
    """Where it keeps its results, if that is known."""
    apart: Apart | None = None
    """What its hold-out shares with no training frame, if that is known."""
    systems: tuple[str, ...] = ()
    """Names of its systems, if they are known."""


@dataclass(frozen=True)
class Observed:
    """What the caches hold of one resource's children; it may be late, never invented."""

    jobs: tuple[ObservedJob, ...] = ()
    progress: Progress | None = None
    """Last report of the active attempt."""
    refusal: str = ""
    """Why the Job of the running stage could not be created when it was last asked for."""
    teacher: ObservedTeacher | None = None
    """The FineTuneJob that the spec names as teacher, if it exists and the job has to start, or to begin anew."""

"""What goes into a plan and what comes out of it: plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from pfd_operator.api.conditions import Phase
from pfd_operator.api.job import JobSpec
from pfd_operator.api.stage_pods import StagePods
from pfd_operator.api.status import JobStatus, TeacherRecord
from pfd_operator.contract.location import S3Location
from pfd_operator.contract.model_source import ModelFamily
from pfd_operator.contract.result import Progress, StageResult
from pfd_operator.contract.selection import Apart
from pfd_operator.contract.stage import StageKind, StageSpec


@dataclass(frozen=True)
class Settings:
    """What the administrator decided (chart values), as far as planning and drawing need it."""

    worker_image: str
    engine_images: dict[str, str]
    """Default image by engine key, e.g. {"abinit": …}."""
    calculator_image: str | None = None
    """Worker image with more ASE calculators and with SevenNet; None: the worker image."""
    progress_url: str | None = None
    image_pull_policy: str = "IfNotPresent"
    stage_pods: StagePods = field(default_factory=StagePods)
    max_counted_failures: int = 3
    """Failed attempts at one stage after which the job fails; preempted and lost ones do not count."""
    backoff_seconds: int = 10
    """Wait after the first failed attempt, and from the start of the first lost one; doubled each time, up to 5 min."""
    stuck_after_seconds: int = 900
    """A pod that cannot start for this long fails the job."""
    pending_after_seconds: int = 0
    """A stage that waits for room, or for a pod to get ready, for this long fails the job; 0: never."""
    node_lost_after_seconds: int = 300
    """A pod that is being deleted for this long, or whose node is gone, no longer blocks the next attempt."""
    index_retries: int = 3
    """Retries of one index of an indexed stage."""

    def image_of(self, family: ModelFamily | None) -> str:
        """Return the worker image that has the program of a model; None: of a calculator."""
        if family is ModelFamily.DEEPMD:
            return self.worker_image
        return self.calculator_image or self.worker_image


@dataclass(frozen=True)
class Resource:
    """A custom resource as read from the API server."""

    kind: str
    namespace: str
    name: str
    uid: str
    generation: int
    spec: JobSpec
    deleting: bool = False


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
    released_at: datetime | None = None
    """When it last began, or began again, to have pods."""
    finished: JobEnd | None = None
    deadline_exceeded: bool = False
    """It failed since it took as long as it might."""
    completions: int | None = None
    """Indexes, each with a result of its own; None for a stage with one result."""
    nodes: int = 1
    """Pods that work on one result together."""
    gpus: int | None = None
    """GPUs of each pod, as its Job was made; None if they are not known."""
    succeeded_indexes: int = 0
    failed_indexes: int = 0
    pods: tuple[ObservedPod, ...] = ()
    gone_pods_seconds: float = 0.0
    """Time of containers whose pods were deleted (evicted, preempted, by hand), in s."""


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


@dataclass(frozen=True)
class PlannedJob:
    """A Job to create: what render needs to draw it."""

    name: str
    owner: Resource
    spec: StageSpec
    worker_image: str
    engine_image: str | None = None
    """Image of an engine that does not run in the worker."""
    completions: int | None = None
    parallelism: int = 1
    gpus: int = 0
    """GPUs of each pod."""
    active_deadline_seconds: int | None = None
    """Of each pod."""
    deadline_seconds: int | None = None
    """Of all pods, one after another."""

    @property
    def together(self) -> bool:
        """Whether several pods work on one result."""
        return self.completions is None and self.parallelism > 1


@dataclass(frozen=True)
class CreateJob:
    """Create this Job; one that exists under this name with our owner uid is the same."""

    job: PlannedJob


@dataclass(frozen=True)
class DeleteJob:
    """Delete a Job and its pods, which end before it does."""

    name: str
    uid: str
    ended: bool = False
    """Nothing of it runs: what is created can go first, and nothing has to end."""


@dataclass(frozen=True)
class CreateConfigMap:
    """Keep inline structures in a ConfigMap of their own, owned by the resource."""

    name: str
    data: dict[str, str]


@dataclass(frozen=True)
class CreateService:
    """Give the pods that train together names by which they find one another."""

    name: str


Action = CreateJob | DeleteJob | CreateConfigMap | CreateService


@dataclass(frozen=True)
class Event:
    """A Kubernetes Event to emit: the story of the job in order."""

    reason: str
    message: str
    warning: bool = False


@dataclass(frozen=True)
class Decision:
    """The outcome of a plan: write the status first, then act, then tell."""

    status: JobStatus
    actions: tuple[Action, ...] = ()
    events: tuple[Event, ...] = ()
    requeue_after_seconds: float | None = None
    unseen: bool = False
    """It rests on something not being there. Caches may be behind: it holds if the API server itself says the same."""

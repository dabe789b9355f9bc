"""What goes into a plan beside what is seen, and what comes out of it: plain values."""

from __future__ import annotations

from dataclasses import dataclass, field

from pfd_operator.api.job import JobSpec
from pfd_operator.api.stage_pods import StagePods
from pfd_operator.api.status import JobStatus
from pfd_operator.contract.model_source import ModelFamily
from pfd_operator.contract.stage import StageSpec


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
    """Of each pod, and of a Job that replaces its pods."""

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

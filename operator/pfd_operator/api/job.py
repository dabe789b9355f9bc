"""What every kind of job has in common: what it may cost, where its results go, how it is stopped."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import Field, model_validator

from pfd_operator.contract.base import LongObjectName, ObjectName, Strict
from pfd_operator.contract.exploration import MOST_TRAJECTORIES, Exploration
from pfd_operator.contract.labeling import LabelPods
from pfd_operator.contract.location import S3Location
from pfd_operator.contract.selection import HoldOut, Selection
from pfd_operator.contract.systems import System
from pfd_operator.contract.tasks import trajectories_of

from .pods import Pods

GROUP = "pfd.dev"
KUEUE = "kueue.x-k8s.io"
VERSION = "v1alpha1"
_TOO_MANY_TRAJECTORIES = (
    f"exploration runs more than {MOST_TRAJECTORIES} trajectories in an iteration: each stage has systems × "
    "temperatures × pressures (with NPT) × replicas of them. Ask for fewer replicas or conditions, or make "
    "several jobs of it"
)
_MOST_INLINE_CHARACTERS = 262_144
"""Of all systems together: they become one ConfigMap, and every look of the operator at the job has them at hand."""
_TOO_MUCH_INLINE = (
    f"systems: structures.inline of all systems together has more than {_MOST_INLINE_CHARACTERS} characters: put "
    "structures into a ConfigMap or the object store (structures.configMap, structures.uri)"
)


class Stop(StrEnum):
    """How a job is stopped; removing it lets the job go on."""

    NOW = "Now"
    AFTER_ITERATION = "AfterIteration"


class Budget(Strict):
    """What the job may cost; may be raised at any time, also after it was exhausted."""

    max_iterations: int = Field(8, ge=1, le=1000, description="Iterations after the initial one. Default 8.")
    max_labels: int = Field(
        300,
        ge=1,
        le=10_000_000,
        description="Calculations paid for in all, AIMD steps and hold-out included. Default 300.",
    )
    gpu_hours: float | None = Field(
        None, gt=0, description="GPU time of all pods, container start to end, in h. Default: no limit."
    )
    deadline_hours: float | None = Field(
        None,
        gt=0,
        description="Wall time since the first start, without time suspended or in a queue, in h. Default: no limit.",
    )


class Restart(Strict):
    """Go back to the start of an iteration, out of any phase. Labels stay paid for, and are found again."""

    from_iteration: int = Field(
        ge=0, le=1000, description="First iteration to repeat; the one after the last continues an ended job."
    )
    id: str = Field(min_length=1, max_length=63, description="Any text; each new one restarts once.")


class S3Artifacts(S3Location):
    """S3 with its credentials."""

    credentials_secret: LongObjectName | None = Field(
        None,
        description="Secret with AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, of temporary keys, AWS_SESSION_TOKEN. "
        "Default: boto3's chain, e.g. the identity of the pods' ServiceAccount.",
    )
    ca_bundle_config_map: LongObjectName | None = Field(
        None,
        description="ConfigMap whose key ca.crt holds the CA bundle of the endpoint. Default: the image's.",
    )


class Queue(Strict):
    """A queue of Kueue: each stage's Job is created suspended and starts when Kueue admits it."""

    name: ObjectName = Field(description="LocalQueue of the same namespace.")
    priority_class: ObjectName | None = Field(None, description="WorkloadPriorityClass. Default: that of the pods.")


class Artifacts(Strict):
    """Where everything computed is kept."""

    s3: S3Artifacts = Field(description="S3 bucket and prefix.")


class JobSpec(Strict):
    """Fields that every kind of job has; the loop needs no others."""

    systems: list[System] = Field(min_length=1, max_length=64, description="The materials and their structures.")
    holdout: HoldOut = Field(HoldOut(), description="The frozen hold-out.")
    exploration: Exploration = Field(description="MD that finds new configurations.")
    selection: Selection = Field(Selection(), description="Which configurations are labelled.")
    labeling: LabelPods = Field(description="How labels are made.")
    budget: Budget = Field(Budget(), description="What it may cost.")
    artifacts: Artifacts = Field(description="Where results are kept.")
    pods: Pods = Field(Pods(), description="Resources and scheduling by stage.")
    # not in pods, whose fields are the stages: policies of administrators go through them
    memory_steps: int = Field(
        0,
        ge=0,
        le=3,
        description="How often a stage that reached its memory limit is tried again with twice as much. Default 0.",
    )
    queue: Queue | None = Field(None, description="Queue of Kueue in which stages wait. Default: none.")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Every random choice follows from it. Default 0.")
    suspend: bool = Field(False, description="Stop the running stage (with a checkpoint) and wait. Default false.")
    stop: Stop | None = Field(
        None, description="End the job as Cancelled: Now, or AfterIteration. Remove it to go on. Default: none."
    )
    restart: Restart | None = Field(
        None,
        description="Do iterations again. With a new id, exploration, selection, training, convergence, acceptance, "
        "seed and some of labeling may change.",
    )

    @property
    def system_names(self) -> list[str]:
        """Names of the systems."""
        return [system.name for system in self.systems]

    @model_validator(mode="after")
    def _names_differ(self) -> JobSpec:
        if len(set(self.system_names)) != len(self.systems):
            raise ValueError("systems: names must differ")
        return self

    @model_validator(mode="after")
    def _can_be_explored(self) -> JobSpec:
        if self.systems and (unfit := self.exploration.unfit_for(self.system_names)):
            raise ValueError(unfit)
        # a job without systems of its own has its teacher's: those that are named, at least one
        named = {name for stage in self.exploration.stages for name in stage.systems or ()}
        if trajectories_of(self.system_names or named or {"unnamed"}, self.exploration) > MOST_TRAJECTORIES:
            raise ValueError(_TOO_MANY_TRAJECTORIES)
        return self


def _inline_of(spec: str) -> str:
    return f"{spec}.systems.map(s, has(s.structures.inline) ? s.structures.inline.size() : 0).sum()"


RULES: tuple[dict[str, Any], ...] = (
    {
        "rule": "self.exploration.stages.map(s, (has(s.systems) ? s.systems.size() : self.systems.size() == 0 ? 1 : "
        "self.systems.size()) * s.temperaturesKelvin.size() * (s.ensemble == 'NPT' ? s.pressuresBar.size() : 1) * "
        f"s.replicas).sum() <= {MOST_TRAJECTORIES}",
        "message": _TOO_MANY_TRAJECTORIES,
    },
    {
        "rule": "self.systems.size() == 0 || self.exploration.stages.all(s, !has(s.systems) || "
        "s.systems.all(n, self.systems.exists(t, t.name == n)))",
        "message": "exploration.stages has one whose systems are not all among spec.systems: correct the names",
    },
    {
        "rule": "self.systems.all(t, self.exploration.stages.exists(s, !has(s.systems) || t.name in s.systems))",
        "message": "exploration.stages has none that runs one of spec.systems: add it to systems of one, or give one "
        "without systems, which runs all",
    },
    {
        # an older job may have more, and its systems are frozen: all that may still change would be refused, stop too
        "rule": f"{_inline_of('self')} <= {_MOST_INLINE_CHARACTERS} || "
        f"oldSelf.hasValue() && {_inline_of('self')} <= {_inline_of('oldSelf.value()')}",
        "optionalOldSelf": True,
        "message": _TOO_MUCH_INLINE,
    },
)
"""What the API server checks across fields of every kind."""


MUTABLE_FIELDS = frozenset(
    {
        "suspend",
        "stop",
        "restart",
        "budget",
        "pods",
        "memorySteps",
        "queue",
        "labeling.image",
        "labeling.parallelism",
        "teacher.image",
        "artifacts.s3.endpoint",
        "artifacts.s3.region",
        "artifacts.s3.pathStyle",
        "artifacts.s3.credentialsSecret",
        "artifacts.s3.caBundleConfigMap",
    }
)
"""Paths of fields that may change while a job runs; everything else is part of status.specDigest."""
RESTART_FIELDS = frozenset(
    {
        "exploration",
        "selection",
        "training",
        "convergence",
        "acceptance",
        "seed",
        "labeling.framesPerPod",
        "labeling.maxFailedFraction",
        "labeling.timeoutSeconds",
    }
)
"""Paths of fields that may change together with restart.id: iterations done with other values stay what they were."""


_ABOVE_EXCEPTIONS = frozenset(
    field[:end] for field in MUTABLE_FIELDS | RESTART_FIELDS for end, sign in enumerate(field) if sign == "."
)


def has_exceptions(path: str) -> bool:
    """Say whether some of the fields below a path may change when others may not."""
    return path in _ABOVE_EXCEPTIONS

"""What a stage computes and in how many pods, out of what its recipe declares."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from pfd_operator.api.job import JobSpec
from pfd_operator.api.status import TASKS, ActiveStage, JobStatus
from pfd_operator.contract.digest import digest_of
from pfd_operator.contract.stage import (
    ExploreParams,
    LabelParams,
    StageKind,
    StageParams,
    StageRef,
    TrainParams,
    stage_digest,
)
from pfd_operator.contract.tasks import trajectories_of

from .budget import deadline_seconds, gpus_per_pod
from .recipe import AnyRecipe, Images, Position
from .types import Settings


def shortened_digest(digest: str) -> str:
    """Return as much of a digest as the status keeps of many stages."""
    return digest[:16]


@dataclass(frozen=True)
class StagePlan:
    """Everything that decides what a stage computes, and in how many pods."""

    position: Position
    params: StageParams
    seed: int
    inputs: dict[str, StageRef]
    images: Images
    completions: int | None = None
    """Indexes, each with a result; None for a stage with one result."""
    parallelism: int = 1
    """Pods at a time; of a stage with one result, those that work on it together."""
    gpus: int = 0
    """GPUs of each pod."""

    def pods_at_a_time(self, done: int) -> int:
        """Return how many pods work at a time when `done` indexes have their results: theirs end within seconds."""
        return self.parallelism if self.completions is None else max(1, min(self.parallelism, self.completions - done))

    def done_before(self, active: ActiveStage | None) -> int:
        """Return how many indexes the next Job finds done in the store by attempts so far: none under another name."""
        return active.succeeded_indexes if active is not None and active.digest == self.digest else 0

    def pod_seconds(self, spec: JobSpec, status: JobStatus, now: datetime) -> int | None:
        """Return how long pods of the next attempt may run, so that the budget holds, in s; None: for ever."""
        pods = self.pods_at_a_time(self.done_before(status.active))
        return deadline_seconds(spec, status, self.gpus * pods, now)

    def drawn_from(self, spec: JobSpec, settings: Settings) -> str:
        """Name all that the stage's Job is drawn from and that may change before it starts."""
        parts = (spec.pods.of(self.position.stage), spec.queue, spec.artifacts, settings.stage_pods)
        # an operator that brings new fields must not see a change in old Jobs
        given = [None if part is None else part.model_dump(mode="json", exclude_defaults=True) for part in parts]
        return digest_of([self.digest, self.parallelism, *given, settings.image_pull_policy])

    @cached_property
    def digest(self) -> str:
        """Name of the stage's outputs."""
        image = f"{self.images.worker} {self.images.engine or ''}".strip()
        return stage_digest(self.params, self.seed, self.position.iteration, self.inputs, image)

    @property
    def labels_by(self) -> str | None:
        """Name what makes its labels, with whatever time and memory; None if that is the whole stage.

        A teacher's labels are no objects of their own.
        """
        if not isinstance(self.params, LabelParams) or self.params.engine is None:
            return None
        engines = [each and each.to_json() for each in (self.params.engine, self.params.tighter)]
        frames = self.inputs[StageKind.SELECT.value].digest
        return shortened_digest(digest_of([frames, *engines, self.images.worker, self.images.engine]))


def plan_stage(
    recipe: AnyRecipe, spec: JobSpec, status: JobStatus, settings: Settings, position: Position
) -> StagePlan:
    """Return what a stage has to do."""
    params = recipe.params(spec, status, position)
    completions = _completions(params, status)
    return StagePlan(
        position=position,
        params=params,
        # the job's own: only the worker knows which draws are the same in all rounds, and which are others each time
        seed=spec.seed,
        inputs=recipe.inputs(status, position),
        images=recipe.images(spec, status, settings, position.stage),
        completions=completions,
        parallelism=_parallelism(params, completions, spec.labeling.parallelism),
        gpus=gpus_per_pod(spec, position.stage, settings),
    )


def _parallelism(params: StageParams, completions: int | None, label_pods: int) -> int:
    if isinstance(params, TrainParams):
        return params.training.nodes
    pods = completions or 1
    return min(pods, label_pods) if isinstance(params, LabelParams) else pods


def _completions(params: StageParams, status: JobStatus) -> int | None:
    if isinstance(params, ExploreParams):
        trajectories = trajectories_of(params.systems, params.exploration, params.without_pressure or ())
        return min(params.exploration.pods, trajectories)
    if isinstance(params, LabelParams):
        return max(1, math.ceil(status.counts.get(TASKS, 1) / params.frames_per_pod))
    return None

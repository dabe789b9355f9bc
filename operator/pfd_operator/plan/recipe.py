"""What a workflow declares so that the loop can walk it; a recipe is pure data and pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from pfd_operator.api.conditions import OperatorReason, Phase
from pfd_operator.api.job import JobSpec
from pfd_operator.api.status import ActiveStage, JobStatus
from pfd_operator.contract.result import StageResult
from pfd_operator.contract.stage import StageKind, StageParams, StageRef, stage_digest

from .types import Observed, Settings


@dataclass(frozen=True)
class Position:
    """A stage of an iteration."""

    iteration: int
    stage: StageKind

    def __str__(self) -> str:
        return (
            self.stage.value if self.stage is StageKind.PREPARE else f"{self.stage.value} of iteration {self.iteration}"
        )


def position_of(active: ActiveStage) -> Position:
    """Return where the running stage stands in the loop."""
    return Position(active.iteration, active.stage)


@dataclass(frozen=True)
class StagePlan:
    """Everything that decides what a stage computes, and in how many pods."""

    position: Position
    params: StageParams
    seed: int
    inputs: dict[str, StageRef]
    worker_image: str
    engine_image: str | None = None
    """Image of an engine that does not run in the worker."""
    completions: int | None = None
    """Indexes; None for a stage of one pod."""
    parallelism: int = 1

    @property
    def digest(self) -> str:
        """Name of the stage's outputs."""
        image = f"{self.worker_image} {self.engine_image or ''}".strip()
        return stage_digest(self.params, self.seed, self.position.iteration, self.inputs, image)


@dataclass(frozen=True)
class Ending:
    """Why nothing more is started."""

    phase: Phase
    reason: OperatorReason
    message: str
    ready: bool = False


@dataclass(frozen=True)
class Hindrance:
    """Why a job cannot start yet, or ever."""

    reason: OperatorReason
    message: str
    final: bool = False
    """Waiting or another spec will not help."""


Spec_contra = TypeVar("Spec_contra", bound=JobSpec, contravariant=True)
Status = TypeVar("Status", bound=JobStatus)


class Recipe(Protocol[Spec_contra, Status]):
    """A workflow."""

    def hindrance(self, spec: Spec_contra, observed: Observed, settings: Settings) -> Hindrance | None:
        """Return why a job cannot start, what the schema cannot see; None if it can."""
        ...

    def begun(self, status: Status, observed: Observed) -> Status:
        """Return the status of a job that starts now, with what has to be remembered from outside."""
        ...

    def next(self, spec: Spec_contra, status: Status) -> Position:
        """Return the stage after the last finished one."""
        ...

    def stage(self, spec: Spec_contra, status: Status, settings: Settings, position: Position) -> StagePlan:
        """Return what a stage has to do."""
        ...

    def take(self, spec: Spec_contra, status: Status, position: Position, results: Sequence[StageResult]) -> Status:
        """Return the status with what a finished stage found out."""
        ...

    def succeeded(self, spec: Spec_contra, status: Status) -> bool:
        """Say whether what was asked for is there: then no budget can take it away."""
        ...

    def ending(self, spec: Spec_contra, status: Status, position: Position, begun: bool) -> Ending | None:
        """Say why a stage is not to be started, or, if `begun`, not to be attempted again; None if it is."""
        ...


AnyRecipe = Recipe[Any, Any]
"""The loop walks any of them, each with the spec and status of its kind."""

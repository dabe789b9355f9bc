"""What a workflow declares so that the loop can walk it; a recipe is pure data and pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pfd_operator.api.conditions import OperatorReason, Phase
from pfd_operator.api.finetune import FineTuneJobSpec
from pfd_operator.api.status import ActiveStage, FineTuneJobStatus
from pfd_operator.contract.result import StageResult
from pfd_operator.contract.stage import StageKind, StageParams, StageRef, stage_digest

from .types import Resource, Settings


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
    image: str
    completions: int | None = None
    """Indexes; None for a stage of one pod."""
    parallelism: int = 1

    @property
    def digest(self) -> str:
        """Name of the stage's outputs."""
        return stage_digest(self.params, self.seed, self.position.iteration, self.inputs, self.image)


@dataclass(frozen=True)
class Ending:
    """Why nothing more is started."""

    phase: Phase
    reason: OperatorReason
    message: str
    ready: bool = False


class Recipe(Protocol):
    """A workflow."""

    def complaint(self, spec: FineTuneJobSpec, settings: Settings) -> str | None:
        """Return what makes a spec impossible that the schema cannot see; None if it is fine."""
        ...

    def next(self, status: FineTuneJobStatus) -> Position:
        """Return the stage after the last finished one."""
        ...

    def stage(self, resource: Resource, status: FineTuneJobStatus, settings: Settings, position: Position) -> StagePlan:
        """Return what a stage has to do."""
        ...

    def take(
        self, spec: FineTuneJobSpec, status: FineTuneJobStatus, position: Position, results: Sequence[StageResult]
    ) -> FineTuneJobStatus:
        """Return the status with what a finished stage found out."""
        ...

    def ending(
        self, spec: FineTuneJobSpec, status: FineTuneJobStatus, position: Position, begun: bool
    ) -> Ending | None:
        """Say why a stage is not to be started, or, if `begun`, not to be attempted again; None if it is."""
        ...

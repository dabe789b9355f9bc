"""What a workflow declares so that the loop can walk it; a recipe is pure data and pure functions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pfd_operator.api.conditions import OperatorReason, Phase
from pfd_operator.api.job import JobSpec
from pfd_operator.api.status import ActiveStage, JobStatus
from pfd_operator.contract.result import Caution, StageResult
from pfd_operator.contract.stage import StageKind, StageParams, StageRef

from .convergence import Criteria
from .observed import Observed
from .types import Settings


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
class Images:
    """What a stage's pods run."""

    worker: str
    engine: str | None = None
    """Of an engine that does not run in the worker."""


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


Spec = TypeVar("Spec", bound=JobSpec)
Status = TypeVar("Status", bound=JobStatus)


class Recipe(ABC, Generic[Spec, Status]):
    """A workflow."""

    @abstractmethod
    def hindrance(self, spec: Spec, observed: Observed, settings: Settings) -> Hindrance | None:
        """Return why a job cannot start, what the schema cannot see; None if it can."""

    @abstractmethod
    def start_labels(self, spec: Spec) -> int:
        """Return how many labels a job takes at least, before anything is known."""

    def started(self, status: Status, observed: Observed) -> Status:
        """Return the status of a job that starts now, with what has to be remembered from outside, if anything."""
        return status

    def systems(self, spec: Spec, status: Status) -> list[str]:
        """Return the names of the systems of a job that has started."""
        return spec.system_names

    @abstractmethod
    def criteria(self, spec: Spec, status: Status) -> Criteria:
        """Return what an iteration is judged by."""

    def judged(self, spec: Spec, status: Status) -> Status:
        """Return the status with the iterations on record judged by the limits of now."""
        return status.model_copy(update={"consecutive": self.criteria(spec, status).held_at_last(status.iterations)})

    def rewound(self, spec: Spec, status: Status) -> Status:
        """Return the status without what iterations that are gone found out, and judged by the limits of now."""
        return self.judged(spec, status)

    @abstractmethod
    def next(self, spec: Spec, status: Status) -> Position:
        """Return the stage after the last finished one."""

    @abstractmethod
    def stages(self, spec: Spec, iteration: int) -> Sequence[StageKind]:
        """Return the stages of an iteration, one after another."""

    @abstractmethod
    def params(self, spec: Spec, status: Status, position: Position) -> StageParams:
        """Return what a stage is told."""

    @abstractmethod
    def inputs(self, status: Status, position: Position) -> dict[str, StageRef]:
        """Return what a stage reads: names as the worker knows them → finished stages."""

    @abstractmethod
    def images(self, spec: Spec, status: Status, settings: Settings, stage: StageKind) -> Images:
        """Return what a stage runs in."""

    @abstractmethod
    def take(self, spec: Spec, status: Status, position: Position, results: Sequence[StageResult]) -> Status:
        """Return the status with what a finished stage found out."""

    @abstractmethod
    def cautions(self, spec: Spec, status: Status) -> Sequence[Caution]:
        """Return what should be known of a job that works, by its settings and all that its stages found."""

    @abstractmethod
    def succeeded(self, spec: Spec, status: Status) -> bool:
        """Say whether what was asked for is there: then no budget can take it away."""

    @abstractmethod
    def ending(self, spec: Spec, status: Status, position: Position, attempted: bool) -> Ending | None:
        """Say why a stage is not to be started, or, if `attempted`, not to be attempted again; None if it is."""


AnyRecipe = Recipe[Any, Any]
"""The loop walks any of them, each with the spec and status of its kind."""

"""StageOutcome: what a stage found, one kind of outcome for each kind of stage, as StageParams are what it is told."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, SerializerFunctionWrapHandler, model_serializer

from .base import Message, Tally
from .selection import Apart
from .stage import StageKind
from .text import shortened

FEWEST_TRAJECTORIES_OF_INTERVAL = 4
"""With fewer, an interval is so wide that it says nothing; frames of one trajectory are alike."""
LARGE_FORCE_SHARE = 0.2
"""Of the RMS force: an error beyond it is remarked, whatever limit it meets."""


class ErrorMetrics(Message):
    """Errors of a model on labelled frames."""

    frames: Tally
    trajectories: Tally | None = None
    """That the frames are of."""
    label_force_rms: float | None = None
    """Of the labels' force components, in eV/Å: the error of a model that has no forces at all."""
    force_rmse: float
    """Over all force components, in eV/Å."""
    force_rmse_low: float | None = None
    """Lower end of the 95 % interval, by the jackknife over trajectories with Student's t, in eV/Å; none of fewer than
    `FEWEST_TRAJECTORIES_OF_INTERVAL`."""
    force_rmse_high: float | None = None
    """Upper end of it, in eV/Å."""
    energy_rmse_per_atom: float | None = None
    """In eV; None only of label noise, where frames are too few to tell it."""
    energy_rmse_per_atom_high: float | None = None
    """Upper end of its 95 % interval, in eV; none of too few trajectories."""
    virial_rmse_per_atom: float | None = None
    """Over the nine components, in eV; none if no frame has a virial."""
    virial_rmse_per_atom_high: float | None = None
    """Upper end of its 95 % interval, in eV; none where too few trajectories have a virial."""
    worst_stratum: str | None = None
    """The (system, temperature, pressure) with the largest force error."""
    worst_stratum_force_rmse: float | None = None

    @property
    def force_share(self) -> float | None:
        """The force RMSE over the RMS force of the labels; None if that is not known, or zero."""
        return self.force_rmse / self.label_force_rms if self.label_force_rms else None

    @property
    def rough(self) -> bool:
        """Whether the forces are so far off that limits which they meet say little."""
        return self.force_share is not None and self.force_share > LARGE_FORCE_SHARE


class StratumError(Message):
    """An error of one stratum."""

    stratum: str
    rmse: float


class WorstStrata(Message):
    """The strata with the largest errors, of those with enough frames; none where no stratum has."""

    force: StratumError | None = None
    """In eV/Å."""
    energy: StratumError | None = None
    """Per atom, in eV."""
    virial: StratumError | None = None
    """Per atom, in eV."""


class AcceptanceCheck(Message):
    """One measure of a student, and its limit."""

    name: Annotated[str, Field(max_length=48, description="What was measured, e.g. SpeedUpAt108Atoms.")]
    met: Annotated[bool, Field(description="The limit holds.")]
    message: Annotated[
        str,
        BeforeValidator(partial(shortened, length=200)),
        Field(max_length=200, description="What was measured and what was asked for, or why it was not measured."),
    ]


class ExplorationCounts(Message):
    """What became of the MD of an iteration; None is what is not known."""

    candidates: Tally | None = None
    """Frames that could be chosen."""
    trajectories: Tally | None = None
    exploded: Tally | None = None
    """Of the trajectories, those that ended early; both are unknown if a pod that explored failed finally."""
    novel: Tally | None = None
    """Of the candidates, those new to the training set; unknown while that has too few trajectories to compare with."""


class Outcome(Message):
    """What a stage found."""

    stage: StageKind

    @model_serializer(mode="wrap")
    def _with_stage(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # a default, which a termination message leaves out; without it nobody could tell what the rest is
        return {"stage": self.stage.value, **handler(self)}

    def without_names(self) -> Self:
        """Return it without names that take room; what follows from them is not known then."""
        return self

    def in_few_words(self, longest: int) -> Self:
        """Return it with no text for people longer than so many characters."""
        return self


class PrepareOutcome(Outcome):
    """Of prepare: what there is to begin with."""

    stage: Literal[StageKind.PREPARE] = StageKind.PREPARE
    training_structures: dict[Apart, Tally] = {}
    """Structures of all systems at which MD for training may begin, by what is kept for the hold-out."""
    without_pressure: list[str] = []
    """Systems whose MD has none, since every start keeps its cell: slabs and molecules."""


class ExploreOutcome(Outcome):
    """Of one index of explore: its MD."""

    stage: Literal[StageKind.EXPLORE] = StageKind.EXPLORE
    candidates: Tally
    trajectories: Tally
    exploded: Tally


class SelectOutcome(Outcome):
    """Of select: what is asked of label."""

    stage: Literal[StageKind.SELECT] = StageKind.SELECT
    tasks: Tally
    """Calculations."""
    labels: Tally
    """What they give if none fails: each step of AIMD is one."""
    exploration: ExplorationCounts = ExplorationCounts()


class LabelOutcome(Outcome):
    """Of one index of label."""

    stage: Literal[StageKind.LABEL] = StageKind.LABEL
    failed: Tally
    """Tasks without a label, or with fewer than asked for."""
    reused: Tally
    """Labels that were found in the store."""


class TrainingErrors(Message):
    """Errors on the hold-out, and on new labels; None is what was not measured in this iteration."""

    pretrained: ErrorMetrics | None = None
    """Iteration 0, hold-out: the model as it was given."""
    shifted: ErrorMetrics | None = None
    """Iteration 0, hold-out: the same with its zero of energy moved to the reference's."""
    label_noise: ErrorMetrics | None = None
    """Iteration 0, hold-out: its labels against tighter ones, where those were asked for."""
    prequential: ErrorMetrics | None = None
    """Later ones, new labels: the model that explored, on those that tell how good it is."""
    farthest: ErrorMetrics | None = None
    """Later ones, new labels: the same on those chosen for being hard."""
    training: ErrorMetrics | None = None
    """A sample of the frames trained on: the trained model."""
    holdout: ErrorMetrics | None = None
    """Hold-out: the trained model."""
    best: ErrorMetrics | None = None
    """Hold-out: the best model so far."""


class TrainingStrata(Message):
    """The worst strata of the sets of frames that are judged by stratum."""

    prequential: WorstStrata | None = None
    holdout: WorstStrata | None = None


class TrainOutcome(Outcome):
    """Of train: what was trained on, and how good the models are."""

    stage: Literal[StageKind.TRAIN] = StageKind.TRAIN
    training_frames: Tally
    given_frames: Tally = 0
    """Of those, frames of the user's own files."""
    holdout_strata: list[str] = []
    """Those of which the hold-out has frames, by `joined_names`; none if they take more room than there is."""
    resumed_from_step: Tally = 0
    """Where an attempt before had got to."""
    exploration: ExplorationCounts = ExplorationCounts()
    """What select told of it."""
    errors: TrainingErrors = TrainingErrors()
    worst_strata: TrainingStrata = TrainingStrata()
    best_iteration: Tally | None = None
    """Whose model is the best on the hold-out so far; None while no training has beaten the shifted model."""

    def without_names(self) -> Self:
        """Return it without the names of strata: whether one is missing is not known then."""
        return self.model_copy(update={"holdout_strata": []})


class AcceptanceErrors(Message):
    """Errors of the student as it is exported; None is what was not measured."""

    holdout: ErrorMetrics | None = None
    """Against the teacher."""
    dft: ErrorMetrics | None = None
    """Against DFT."""
    teacher_dft: ErrorMetrics | None = None
    """The teacher's own on the same frames."""


class SpeedUp(Message):
    """How many times faster than the teacher the student is in a cell of some size."""

    atoms_asked: Tally
    atoms: Tally
    """Of the cell that was run for that size."""
    factor: float


class AcceptOutcome(Outcome):
    """Of accept: the verdict on the student, and what it was measured by."""

    stage: Literal[StageKind.ACCEPT] = StageKind.ACCEPT
    errors: AcceptanceErrors = AcceptanceErrors()
    checks: Annotated[list[AcceptanceCheck], Field(min_length=1, max_length=12)]
    speed_ups: list[SpeedUp] = []
    """By size, of those at which both were timed."""
    nve_drift: float | None = None
    """Largest of all systems, in meV/atom/ps, with or without a limit."""

    def in_few_words(self, longest: int) -> Self:
        """Return it with shorter words about the checks; their verdicts stay."""
        checks = [each.model_copy(update={"message": shortened(each.message, longest)}) for each in self.checks]
        return self.model_copy(update={"checks": checks})


StageOutcome = Annotated[
    PrepareOutcome | ExploreOutcome | SelectOutcome | LabelOutcome | TrainOutcome | AcceptOutcome,
    Field(discriminator="stage"),
]

"""The distilling recipe: prepare, a hold-out by the teacher, rounds of explore → select → label → train, then accept.

The teacher explores in the first round, the student from then on: what it gets wrong shows where it goes itself
(on-policy distillation; Agarwal et al., ICLR 2024, for language models; the source system's loop for potentials).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from pfd_operator.api.conditions import OperatorReason
from pfd_operator.api.distill import DistillJobSpec
from pfd_operator.api.status import DistillJobStatus
from pfd_operator.contract.distill import StartFrom
from pfd_operator.contract.limits import Convergence, ErrorLimits
from pfd_operator.contract.model_source import ModelSource
from pfd_operator.contract.outcome import AcceptOutcome, TrainOutcome
from pfd_operator.contract.result import Caution, CautionReason, StageResult
from pfd_operator.contract.stage import (
    AcceptParams,
    Input,
    LabelParams,
    PrepareParams,
    StageKind,
    StageParams,
    StageRef,
    TrainParams,
)
from pfd_operator.contract.tasks import stages_of_systems

from .acceptance import take_acceptance, verdict
from .budget import labels_left
from .convergence import Criteria, Measure
from .kept_model import converged
from .observed import Observed
from .outcome import found_by, take_training
from .recipe import Ending, Hindrance, Images, Position, Recipe
from .remarks import made, not_equilibrated, not_learned, structures_left_out
from .rounds import ITERATION, after, explored, last_stages, prepared, selected, stopped, take_counts
from .strata import too_few_for_the_holdout
from .teacher import teacher_hindrance
from .types import Settings

MEASURES = {"holdout": Measure("against the teacher on the hold-out")}
FIRST_ON_POLICY_ROUND = 2
LABEL_TIMEOUT_SECONDS = 3600


class Distill(Recipe[DistillJobSpec, DistillJobStatus]):
    """See the module."""

    def hindrance(self, spec: DistillJobSpec, observed: Observed, settings: Settings) -> Hindrance | None:
        """Return what makes a spec impossible that the schema cannot see, or that its teacher is not there yet."""
        needed = self.start_labels(spec)
        if needed > spec.budget.max_labels:
            return Hindrance(
                OperatorReason.SPEC_INVALID,
                f"spec.budget.maxLabels is {spec.budget.max_labels}, but the first round needs {needed}: "
                f"{spec.holdout.frames} hold-out frames (spec.holdout.frames) and "
                f"{spec.selection.frames_per_iteration} to train on (spec.selection.framesPerIteration)",
            )
        # of those of a teacher's job only the names are known here
        too_few = too_few_for_the_holdout(spec) if spec.systems else ""
        if too_few:
            return Hindrance(OperatorReason.SPEC_INVALID, too_few)
        if spec.teacher.fine_tune_job is not None:
            return teacher_hindrance(spec, spec.teacher.fine_tune_job, observed.teacher)
        if not spec.systems:
            message = "spec.systems is needed, since the teacher is no FineTuneJob whose systems could be taken"
            return Hindrance(OperatorReason.SPEC_INVALID, message)
        return None

    def start_labels(self, spec: DistillJobSpec) -> int:
        """Return what hold-out and first round take: before that there is no student."""
        return spec.holdout.frames + spec.selection.frames_per_iteration

    def started(self, status: DistillJobStatus, observed: Observed) -> DistillJobStatus:
        """Remember the teacher as it is now: the job goes on with it, whatever becomes of the FineTuneJob."""
        record = observed.teacher.record if observed.teacher is not None else None
        return status.model_copy(update={"teacher": record})

    def systems(self, spec: DistillJobSpec, status: DistillJobStatus) -> list[str]:
        """Return its own or, if it has none, those of the FineTuneJob that made the teacher."""
        return spec.system_names if spec.systems or status.teacher is None else status.teacher.systems

    def criteria(self, spec: DistillJobSpec, status: DistillJobStatus) -> Criteria:
        """Return the error limits of acceptance, which the hold-out is compared with."""
        limits = spec.acceptance.model_dump(include=set(ErrorLimits.model_fields))
        return Criteria(Convergence(**limits), MEASURES)

    def rewound(self, spec: DistillJobSpec, status: DistillJobStatus) -> DistillJobStatus:
        """Judge what is left; the verdict was on another student."""
        return self.judged(spec, status).model_copy(update={"acceptance": [], "measured": [], "speedup": "", "dft": {}})

    def next(self, spec: DistillJobSpec, status: DistillJobStatus) -> Position:
        """Return the stage after the last finished one; accept after the last round, or when no label is left."""
        if not status.stages:
            return Position(0, StageKind.PREPARE)
        last = Position(status.stages[-1].iteration, status.stages[-1].stage)
        if last.stage is StageKind.ACCEPT:
            return last
        enough = last.stage is StageKind.TRAIN and self._enough(spec, status, last.iteration)
        # the budget may have been lowered since the round began
        in_vain = (
            last.stage is StageKind.EXPLORE and last.iteration > 1 and not labels_left(spec, status, last.iteration)
        )
        if enough or in_vain:
            return Position(last.iteration, StageKind.ACCEPT)
        return after(last, partial(self.stages, spec))

    def stages(self, spec: DistillJobSpec, iteration: int) -> Sequence[StageKind]:
        """Return all of them; with the hold-out alone there is nothing to train on yet: the first round brings it."""
        return ITERATION if iteration else ITERATION[: ITERATION.index(StageKind.TRAIN)]

    def params(self, spec: DistillJobSpec, status: DistillJobStatus, position: Position) -> StageParams:
        """Return what a stage is told."""
        match position.stage:
            case StageKind.PREPARE:
                return PrepareParams(
                    model=_model(spec, status),
                    calculator=spec.teacher.calculator,
                    systems=[prepared(system) for system in spec.systems],
                    starts=status.teacher.starts_uri if status.teacher is not None and not spec.systems else None,
                    training=spec.training.settings,
                    student=spec.student,
                    dft_data=spec.acceptance.dft_data,
                )
            case StageKind.EXPLORE:
                by_student = position.iteration >= FIRST_ON_POLICY_ROUND
                exploration = spec.exploration.of_student if by_student else spec.exploration
                return explored(spec, status, self.systems(spec, status), position.iteration, exploration)
            case StageKind.SELECT:
                return selected(spec, status, position.iteration)
            case StageKind.LABEL:
                return LabelParams(
                    frames_per_pod=spec.labeling.frames_per_pod,
                    timeout_seconds=LABEL_TIMEOUT_SECONDS,
                )
            case StageKind.TRAIN:
                return TrainParams(
                    training=spec.training.settings,
                    max_failed_fraction=spec.labeling.max_failed_fraction,
                    limited=spec.acceptance.limited,
                    student=spec.student,
                    continues=spec.training.start_from is StartFrom.LAST_ROUND or None,
                )
            case StageKind.ACCEPT:
                teacher = status.teacher
                return AcceptParams(
                    acceptance=spec.acceptance,
                    student=spec.student,
                    exploration=spec.exploration,
                    dft_holdout=None if teacher is None or spec.acceptance.dft_data else teacher.holdout_uri,
                    teacher=None if teacher is None else teacher.name,
                    reference=None if teacher is None else teacher.reference,
                )

    def inputs(self, status: DistillJobStatus, position: Position) -> dict[str, StageRef]:
        """Return what a stage reads: names as the worker knows them → finished stages."""
        student_there = position.iteration > 1
        match position.stage:
            case StageKind.PREPARE:
                return {}
            case StageKind.EXPLORE:
                model = StageKind.TRAIN if student_there else StageKind.PREPARE
                return {Input.PREPARE: status.inputs[StageKind.PREPARE], Input.MODEL: status.inputs[model]}
            case StageKind.SELECT:
                names = [StageKind.PREPARE, StageKind.EXPLORE]
            case StageKind.LABEL:
                return last_stages(status.inputs, [StageKind.PREPARE, StageKind.SELECT])
            case StageKind.TRAIN:
                names = [StageKind.PREPARE, StageKind.LABEL, StageKind.SELECT]
            case StageKind.ACCEPT:
                return last_stages(status.inputs, [StageKind.PREPARE, StageKind.TRAIN])
        if student_there:
            return last_stages(status.inputs, [*names, StageKind.TRAIN])
        inputs = last_stages(status.inputs, names)
        if position.stage is StageKind.TRAIN:
            inputs[Input.HOLD_OUT] = _first(status, StageKind.LABEL)
            inputs[Input.HOLD_OUT_SELECT] = _first(status, StageKind.SELECT)
        return inputs

    def images(self, spec: DistillJobSpec, status: DistillJobStatus, settings: Settings, stage: StageKind) -> Images:
        """Return the image that has the teacher: every stage may have to ask it."""
        model = _model(spec, status)
        return Images(spec.teacher.image or settings.image_of(None if model is None else model.family))

    def take(
        self, spec: DistillJobSpec, status: DistillJobStatus, position: Position, results: Sequence[StageResult]
    ) -> DistillJobStatus:
        """Return the status with what a finished stage found out."""
        status = take_counts(spec, status, results)
        if (trained := found_by(results, TrainOutcome)) is not None:
            return take_training(self.criteria(spec, status), status, position.iteration, trained, results[0].model_uri)
        if (judged := found_by(results, AcceptOutcome)) is not None:
            return take_acceptance(spec, status, judged, results[0].model_uri)
        return status

    def cautions(self, spec: DistillJobSpec, status: DistillJobStatus) -> Sequence[Caution]:
        """Say what the MD leaves out; what else is to be known of a student, the worker itself knows."""
        return made(
            {
                CautionReason.NOT_LEARNED: not_learned(spec.acceptance, status),
                CautionReason.UNEXPLORED: structures_left_out(spec, status),
                CautionReason.SHORT_MD: not_equilibrated(
                    stages_of_systems(self.systems(spec, status), spec.exploration, status.without_pressure)
                ),
            }
        )

    def succeeded(self, spec: DistillJobSpec, status: DistillJobStatus) -> bool:
        """Say whether the student was judged: an end that comes late does not take the verdict away."""
        return bool(status.acceptance)

    def ending(
        self, spec: DistillJobSpec, status: DistillJobStatus, position: Position, attempted: bool
    ) -> Ending | None:
        """Say why a stage is not to be started or attempted again."""
        if status.acceptance:
            return verdict(status)
        return stopped(spec, status, position, attempted, self.start_labels(spec))

    def _enough(self, spec: DistillJobSpec, status: DistillJobStatus, iteration: int) -> bool:
        """Say whether no further round is needed, or none is left."""
        # good on frames of the teacher's MD only says nothing about where the student itself goes
        good = converged(self.criteria(spec, status).limits, status) and iteration >= FIRST_ON_POLICY_ROUND
        return good or iteration >= spec.budget.max_iterations or labels_left(spec, status, iteration + 1) == 0


def _model(spec: DistillJobSpec, status: DistillJobStatus) -> ModelSource | None:
    teacher = spec.teacher
    if teacher.calculator is not None:
        return None
    if status.teacher is not None:
        # one branch only: train cut it out
        return ModelSource(uri=status.teacher.model_uri)
    return ModelSource(uri=teacher.uri, pretrained=teacher.pretrained, branch=teacher.branch)


def _first(status: DistillJobStatus, stage: StageKind) -> StageRef:
    """Return the stage that was run for the hold-out."""
    record = next(r for r in status.stages if (r.iteration, r.stage) == (0, stage))
    return StageRef(digest=record.digest, completions=record.completions)


DISTILL = Distill()

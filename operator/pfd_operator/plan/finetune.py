"""The fine-tuning recipe: prepare once, then explore → select → label → train until the model is good."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from pfd_operator.api.conditions import OperatorReason, Phase
from pfd_operator.api.finetune import FineTuneJobSpec
from pfd_operator.api.status import FineTuneJobStatus
from pfd_operator.contract.engine import Engine
from pfd_operator.contract.outcome import TrainOutcome
from pfd_operator.contract.result import Caution, CautionReason, StageResult
from pfd_operator.contract.stage import (
    Input,
    LabelParams,
    PrepareParams,
    StageKind,
    StageParams,
    StageRef,
    TrainParams,
)
from pfd_operator.contract.strata import strata_in
from pfd_operator.contract.training import StartOfTraining

from .convergence import MEASURES, Criteria, Measure
from .engines import IN_WORKER, without_image
from .kept_model import converged
from .measured import errors_of
from .observed import Observed
from .outcome import found_by, take_training
from .recipe import Ending, Hindrance, Images, Position, Recipe
from .remarks import (
    limits_out_of_budget,
    made,
    not_equilibrated,
    not_learned,
    out_of_reach,
    pressure_untrained,
    structures_left_out,
)
from .rounds import (
    ITERATION,
    after,
    explored,
    last_stages,
    last_words,
    prepared,
    selected,
    stopped,
    take_counts,
)
from .strata import (
    number_of_strata,
    stages_in,
    strata_left_out,
    strata_of,
    systems_of,
    too_few_for_the_holdout,
)
from .types import Settings

_GIVEN_HOLDOUT = Measure(
    "on the hold-out",
    "Add frames of more trajectories to the files of spec.holdout.data, and restart from iteration 0",
)


class FineTune(Recipe[FineTuneJobSpec, FineTuneJobStatus]):
    """See the module."""

    def hindrance(self, spec: FineTuneJobSpec, observed: Observed, settings: Settings) -> Hindrance | None:
        """Return what makes a spec impossible that the schema cannot see."""
        complaint = _complaint(spec, self.start_labels(spec), settings)
        return None if complaint is None else Hindrance(OperatorReason.SPEC_INVALID, complaint)

    def start_labels(self, spec: FineTuneJobSpec) -> int:
        """Return what the first iteration takes: AIMD, and the hold-out with those of it that are labelled twice."""
        return spec.aimd.trajectories * spec.aimd.steps + spec.holdout.labels + _labelled_twice(spec)

    def criteria(self, spec: FineTuneJobSpec, status: FineTuneJobStatus) -> Criteria:
        """Return the limits, and which strata that they ask for have no frame."""
        measures = MEASURES | {"holdout": _GIVEN_HOLDOUT} if spec.holdout.data else MEASURES
        return Criteria(spec.convergence, measures, _left_out(spec, status))

    def next(self, spec: FineTuneJobSpec, status: FineTuneJobStatus) -> Position:
        """Return the stage after the last finished one."""
        if not status.stages:
            return Position(0, StageKind.PREPARE)
        return after(Position(status.stages[-1].iteration, status.stages[-1].stage), partial(self.stages, spec))

    def stages(self, spec: FineTuneJobSpec, iteration: int) -> Sequence[StageKind]:
        """Return all of them; the first iteration makes a hold-out by MD if none is given, and labels by AIMD."""
        if iteration or not spec.holdout.data:
            return ITERATION
        return ITERATION[ITERATION.index(StageKind.SELECT) :] if spec.aimd.trajectories else (StageKind.TRAIN,)

    def params(self, spec: FineTuneJobSpec, status: FineTuneJobStatus, position: Position) -> StageParams:
        """Return what a stage is told."""
        match position.stage:
            case StageKind.PREPARE:
                return PrepareParams(
                    model=spec.model,
                    systems=[prepared(system) for system in spec.systems],
                    data=spec.data,
                    holdout=spec.holdout.data or None,
                    training=spec.training.settings,
                    engine=spec.labeling.engine,
                )
            case StageKind.EXPLORE:
                return explored(spec, status, spec.system_names, position.iteration, spec.exploration)
            case StageKind.SELECT:
                aimd = spec.aimd if spec.aimd.trajectories else None
                return selected(spec, status, position.iteration, aimd, spec.labeling.noise_check)
            case StageKind.LABEL:
                return LabelParams(
                    engine=spec.labeling.engine,
                    frames_per_pod=spec.labeling.frames_per_pod,
                    timeout_seconds=spec.labeling.timeout_seconds,
                    memory=spec.pods.label.resources.memory_limit,
                    tighter=_tighter(spec, position.iteration),
                )
            case StageKind.TRAIN:
                return TrainParams(
                    training=spec.training.settings,
                    continues=spec.training.start_from is StartOfTraining.BEST or None,
                    max_failed_fraction=spec.labeling.max_failed_fraction,
                    limited=spec.convergence.limited,
                )
            case StageKind.ACCEPT:
                raise ValueError("a fine-tuning has no accept stage")

    def inputs(self, status: FineTuneJobStatus, position: Position) -> dict[str, StageRef]:
        """Return what a stage reads: names as the worker knows them → finished stages."""
        if position.stage is StageKind.PREPARE:
            return {}
        if position.stage is StageKind.EXPLORE:
            model = StageKind.TRAIN if position.iteration else StageKind.PREPARE
            return {Input.PREPARE: status.inputs[StageKind.PREPARE], Input.MODEL: status.inputs[model]}
        if position.stage is StageKind.LABEL:
            return last_stages(status.inputs, [StageKind.SELECT])
        names = [StageKind.PREPARE]
        names += [StageKind.EXPLORE] if position.stage is StageKind.SELECT else [StageKind.LABEL, StageKind.SELECT]
        names += [StageKind.TRAIN] if position.iteration else []
        # the first iteration may go without some
        return last_stages(status.inputs, [name for name in names if name in status.inputs])

    def images(self, spec: FineTuneJobSpec, status: FineTuneJobStatus, settings: Settings, stage: StageKind) -> Images:
        """Return the images of the worker that has the model's program, and of an engine that has one of its own."""
        if stage is not StageKind.LABEL:
            return Images(settings.image_of(spec.model.family))
        own = _engine_image(spec, settings)
        if spec.labeling.engine.chosen()[0] in IN_WORKER:
            return Images(own or settings.worker_image)
        return Images(settings.worker_image, own)

    def take(
        self, spec: FineTuneJobSpec, status: FineTuneJobStatus, position: Position, results: Sequence[StageResult]
    ) -> FineTuneJobStatus:
        """Return the status with what a finished stage found out."""
        status = take_counts(spec, status, results)
        trained = found_by(results, TrainOutcome)
        if trained is None:
            return status
        status = _with_holdout(status, trained)
        criteria, remark = self.criteria(spec, status), out_of_reach(spec.convergence, status.label_noise)
        return take_training(criteria, status, position.iteration, trained, results[0].model_uri, remark)

    def cautions(self, spec: FineTuneJobSpec, status: FineTuneJobStatus) -> Sequence[Caution]:
        """Say what these settings leave out of reach: of labels, of the budget, of the MD."""
        return made(
            {
                CautionReason.LIMIT_BELOW_NOISE: out_of_reach(spec.convergence, status.label_noise),
                CautionReason.NOT_LEARNED: not_learned(spec.convergence, status, status.label_noise),
                CautionReason.BUDGET_BELOW_LIMITS: limits_out_of_budget(spec.convergence, spec.budget),
                CautionReason.UNEXPLORED: structures_left_out(spec, status),
                CautionReason.NO_VIRIALS: pressure_untrained(spec, status),
                CautionReason.SHORT_MD: not_equilibrated(stages_in(spec, status.without_pressure)),
            }
        )

    def succeeded(self, spec: FineTuneJobSpec, status: FineTuneJobStatus) -> bool:
        """Say whether all limits held often enough."""
        return bool(status.stages) and converged(spec.convergence, status)

    def ending(
        self, spec: FineTuneJobSpec, status: FineTuneJobStatus, position: Position, attempted: bool
    ) -> Ending | None:
        """Say why a stage is not to be started or attempted again."""
        ending = _after_iteration(spec, status, position.iteration) if position.iteration else None
        return ending or stopped(spec, status, position, attempted, self.start_labels(spec))


def _with_holdout(status: FineTuneJobStatus, trained: TrainOutcome) -> FineTuneJobStatus:
    """Return the status with what is known of the hold-out: its strata, its noise, the errors before any training."""
    named = {"pretrained": errors_of(trained.errors.pretrained), "shifted": errors_of(trained.errors.shifted)}
    baselines = {name: errors for name, errors in named.items() if errors is not None}
    return status.model_copy(
        update={
            "baselines": status.baselines | baselines,
            "label_noise": errors_of(trained.errors.label_noise) or status.label_noise,
            "holdout_strata": trained.holdout_strata,
        }
    )


def _left_out(spec: FineTuneJobSpec, status: FineTuneJobStatus) -> str:
    """Say what of the exploration the hold-out has no frame of: of one that is given, which systems."""
    held_out = strata_in(status.holdout_strata)
    if spec.holdout.data:
        return strata_left_out(spec.system_names, systems_of(held_out), "spec.holdout.data has none of it")
    return strata_left_out(strata_of(spec, status.without_pressure), held_out)


def _labelled_twice(spec: FineTuneJobSpec) -> int:
    return 0 if spec.labeling.noise_check is None else spec.labeling.noise_check.frames


def _tighter(spec: FineTuneJobSpec, iteration: int) -> Engine | None:
    check = spec.labeling.noise_check
    return spec.labeling.tighter() if check is not None and (iteration == 0 or check.farthest) else None


def _complaint(spec: FineTuneJobSpec, needed: int, settings: Settings) -> str | None:
    aimd, frames, most = spec.aimd, spec.holdout.labels, spec.budget.max_labels
    noise = _labelled_twice(spec)
    if needed > most:
        once_more = f", {noise} of them once more (spec.labeling.noiseCheck)" if noise else ""
        parts = {
            f"{aimd.trajectories} AIMD trajectories (spec.aimd) of {aimd.steps} steps": aimd.trajectories,
            f"{frames} hold-out frames (spec.holdout.frames){once_more}": frames,
        }
        return (
            f"spec.budget.maxLabels is {most}, but the start alone needs {needed}: "
            f"{', and '.join(words for words, number in parts.items() if number)}. Raise the budget, or ask for less"
        )
    too_few = too_few_for_the_holdout(spec)
    if too_few:
        return too_few
    if spec.convergence.every_stratum and 0 < frames < (strata := number_of_strata(spec)):
        return (
            f"spec.convergence.everyStratum asks for the limits in each of {strata} systems, temperatures and "
            f"pressures, but the hold-out has only {frames} frames (spec.holdout.frames). Give each at least one, "
            "better four"
        )
    return without_image(spec.labeling.engine, _engine_image(spec, settings)) or None


def _engine_image(spec: FineTuneJobSpec, settings: Settings) -> str | None:
    return spec.labeling.image or settings.engine_images.get(spec.labeling.engine.chosen()[0])


def _after_iteration(spec: FineTuneJobSpec, status: FineTuneJobStatus, upcoming: int) -> Ending | None:
    """Say why the iterations that are done are all; one that was cut may have been begun with a larger budget."""
    if converged(spec.convergence, status):
        message = f"all limits held in {status.consecutive} iterations in a row: {last_words(status)}"
        return Ending(Phase.CONVERGED, OperatorReason.CONVERGED, message, ready=True)
    if upcoming > spec.budget.max_iterations:
        message = (
            f"{upcoming - 1} iterations (spec.budget.maxIterations is {spec.budget.max_iterations}) are done and the "
            f"model is not yet good enough: {last_words(status)}. Raise the budget to go on"
        )
        return Ending(Phase.MAX_ITERATIONS, OperatorReason.MAX_ITERATIONS, message)
    return None


FINE_TUNE = FineTune()

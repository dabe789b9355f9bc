"""The fine-tuning recipe: prepare once, then explore → select → label → train until the model is good."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pfd_operator.api.conditions import OperatorReason, Phase
from pfd_operator.api.finetune import FineTuneJobSpec, Stop
from pfd_operator.api.status import FineTuneJobStatus
from pfd_operator.contract.digest import seed_of
from pfd_operator.contract.result import StageResult
from pfd_operator.contract.settings import Purpose, System
from pfd_operator.contract.stage import (
    STRUCTURES_DIRECTORY,
    ExploreParams,
    LabelParams,
    PreparedSystem,
    PrepareParams,
    SelectParams,
    StageKind,
    StageParams,
    StageRef,
    TrainParams,
)
from pfd_operator.contract.tasks import md_tasks

from .budget import labels_left
from .names import structures_key
from .outcome import take_labels, take_training
from .recipe import Ending, Position, StagePlan
from .types import Resource, Settings

ITERATION = (StageKind.EXPLORE, StageKind.SELECT, StageKind.LABEL, StageKind.TRAIN)
IN_WORKER = frozenset({"xtb", "ase"})
"""Engines that compute in the worker image; the others need one of their own."""


class FineTune:
    """See the module."""

    def complaint(self, spec: FineTuneJobSpec, settings: Settings) -> str | None:
        """Return what makes a spec impossible that the schema cannot see."""
        aimd, frames, most = spec.aimd, spec.holdout.frames, spec.budget.max_labels
        needed = aimd.trajectories * aimd.steps + frames
        if needed > most:
            return (
                f"spec.budget.maxLabels is {most}, but the start alone needs {needed}: {aimd.trajectories} AIMD "
                f"trajectories (spec.aimd) of {aimd.steps} steps, and {frames} hold-out frames (spec.holdout.frames). "
                f"Raise the budget, or ask for less"
            )
        engine, _ = spec.labeling.engine.chosen()
        if engine not in IN_WORKER and spec.labeling.image is None and engine not in settings.engine_images:
            return (
                f"spec.labeling.image: no image is known for the engine {engine}: give one here, or ask the "
                f"administrator to set one for all jobs"
            )
        return None

    def next(self, status: FineTuneJobStatus) -> Position:
        """Return the stage after the last finished one."""
        if not status.stages:
            return Position(0, StageKind.PREPARE)
        last = status.stages[-1]
        if last.stage is StageKind.PREPARE:
            return Position(0, ITERATION[0])
        place = ITERATION.index(last.stage) + 1
        return (
            Position(last.iteration + 1, ITERATION[0])
            if place == len(ITERATION)
            else Position(last.iteration, ITERATION[place])
        )

    def stage(self, resource: Resource, status: FineTuneJobStatus, settings: Settings, position: Position) -> StagePlan:
        """Return what a stage has to do."""
        spec = resource.spec
        seed = seed_of(spec.seed, position.iteration, position.stage.value)
        completions, parallelism = _pods(spec, status, position.stage, seed)
        return StagePlan(
            position=position,
            params=_params(spec, status, position),
            seed=seed,
            inputs=_inputs(status, position),
            image=_image(spec, settings, position.stage),
            completions=completions,
            parallelism=parallelism,
        )

    def take(
        self, spec: FineTuneJobSpec, status: FineTuneJobStatus, position: Position, results: Sequence[StageResult]
    ) -> FineTuneJobStatus:
        """Return the status with what a finished stage found out."""
        status = take_labels(status, results)
        counts = dict(status.counts)
        for name in {name for result in results for name in result.counts}:
            counts[name] = sum(result.counts.get(name, 0) for result in results)
        status = status.model_copy(update={"counts": counts})
        if position.stage is StageKind.TRAIN and results:
            status = take_training(spec.convergence, status, position.iteration, results[0])
        return status

    def ending(
        self, spec: FineTuneJobSpec, status: FineTuneJobStatus, position: Position, begun: bool
    ) -> Ending | None:
        """Say why a stage is not to be started or attempted again."""
        if position.iteration == 0 or position.stage not in (StageKind.EXPLORE, StageKind.SELECT):
            return None
        if position.stage is StageKind.EXPLORE and not begun:
            ending = _after_iteration(spec, status, position.iteration)
            if ending is not None:
                return ending
        if labels_left(spec, status) == 0:
            message = (
                f"all {spec.budget.max_labels} labels (spec.budget.maxLabels) are paid for and the model is not yet "
                f"good enough: {_last_words(status)}. Raise the budget to go on"
            )
            return Ending(Phase.BUDGET_EXHAUSTED, OperatorReason.LABEL_BUDGET, message)
        return None


def _after_iteration(spec: FineTuneJobSpec, status: FineTuneJobStatus, upcoming: int) -> Ending | None:
    if status.consecutive >= spec.convergence.consecutive:
        message = f"all limits held in {status.consecutive} iterations in a row: {_last_words(status)}"
        return Ending(Phase.CONVERGED, OperatorReason.CONVERGED, message, ready=True)
    if upcoming > spec.budget.max_iterations:
        message = (
            f"{upcoming - 1} iterations (spec.budget.maxIterations is {spec.budget.max_iterations}) are done and the "
            f"model is not yet good enough: {_last_words(status)}. Raise the budget to go on"
        )
        return Ending(Phase.MAX_ITERATIONS, OperatorReason.MAX_ITERATIONS, message)
    if spec.stop is Stop.AFTER_ITERATION:
        message = f"stopped after iteration {upcoming - 1} (spec.stop); remove spec.stop to go on"
        return Ending(Phase.CANCELLED, OperatorReason.CANCELLED, message)
    return None


def _last_words(status: FineTuneJobStatus) -> str:
    return status.iterations[-1].message if status.iterations else "no iteration has ended"


def _params(spec: FineTuneJobSpec, status: FineTuneJobStatus, position: Position) -> StageParams:
    first = position.iteration == 0
    purpose: Purpose = "hold-out" if first else "training"
    match position.stage:
        case StageKind.PREPARE:
            return PrepareParams(
                model=spec.model,
                systems=[_prepared(system) for system in spec.systems],
                data=spec.data,
                training=spec.training,
                engine=spec.labeling.engine,
            )
        case StageKind.EXPLORE:
            return ExploreParams(
                purpose=purpose,
                systems=[system.name for system in spec.systems],
                exploration=spec.exploration,
                min_distance_factor=spec.selection.min_distance_factor,
            )
        case StageKind.SELECT:
            asked = min(spec.selection.frames_per_iteration, labels_left(spec, status))
            return SelectParams(
                purpose=purpose,
                # at least one: a budget lowered after the stage was intended must not make it a stage of nothing
                frames=spec.holdout.frames if first else max(1, asked),
                aimd=spec.aimd if first and spec.aimd.trajectories else None,
            )
        case StageKind.LABEL:
            return LabelParams(
                engine=spec.labeling.engine,
                frames_per_pod=spec.labeling.frames_per_pod,
                timeout_seconds=spec.labeling.timeout_seconds,
            )
        case StageKind.TRAIN:
            return TrainParams(training=spec.training, max_failed_fraction=spec.labeling.max_failed_fraction)


def _inputs(status: FineTuneJobStatus, position: Position) -> dict[str, StageRef]:
    """Return what a stage reads: names as the worker knows them → finished stages."""
    last = status.inputs
    match position.stage:
        case StageKind.PREPARE:
            return {}
        case StageKind.EXPLORE:
            model = StageKind.TRAIN if position.iteration else StageKind.PREPARE
            return {"prepare": last[StageKind.PREPARE], "model": last[model]}
        case StageKind.SELECT:
            names = [StageKind.PREPARE, StageKind.EXPLORE]
        case StageKind.LABEL:
            names = [StageKind.SELECT]
        case StageKind.TRAIN:
            names = [StageKind.PREPARE, StageKind.LABEL, StageKind.SELECT]
    if position.iteration and position.stage is not StageKind.LABEL:
        names.append(StageKind.TRAIN)
    return {name.value: last[name] for name in names}


def _pods(spec: FineTuneJobSpec, status: FineTuneJobStatus, stage: StageKind, seed: int) -> tuple[int | None, int]:
    """Return (completions, pods at a time) of a stage."""
    if stage is StageKind.EXPLORE:
        tasks = len(md_tasks([system.name for system in spec.systems], spec.exploration, seed))
        pods = min(spec.exploration.pods, tasks)
        return pods, pods
    if stage is StageKind.LABEL:
        pods = max(1, math.ceil(status.counts.get("tasks", 1) / spec.labeling.frames_per_pod))
        return pods, min(spec.labeling.parallelism, pods)
    return None, 1


def _image(spec: FineTuneJobSpec, settings: Settings, stage: StageKind) -> str:
    if stage is not StageKind.LABEL:
        return settings.worker_image
    engine, _ = spec.labeling.engine.chosen()
    own = spec.labeling.image or settings.engine_images.get(engine, "")
    return f"{settings.worker_image} {own}".strip()


def _prepared(system: System) -> PreparedSystem:
    given = system.structures
    if given.uri is not None:
        address = given.uri
    else:
        key = given.config_map.key if given.config_map is not None else structures_key(system.name)
        address = f"{STRUCTURES_DIRECTORY}/{system.name}/{key}"
    return PreparedSystem(name=system.name, structures=address, perturb=system.perturb)


FINE_TUNE = FineTune()

"""What the recipes share: how a round goes, and how results are taken."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pfd_operator.api.conditions import OperatorReason, Phase
from pfd_operator.api.job import JobSpec, Stop
from pfd_operator.api.status import TASKS, TRAINING_STRUCTURES, JobStatus
from pfd_operator.contract.exploration import Exploration
from pfd_operator.contract.labeling import NoiseCheck
from pfd_operator.contract.outcome import PrepareOutcome, SelectOutcome
from pfd_operator.contract.result import StageResult
from pfd_operator.contract.selection import HOLD_OUT, TRAINING, Aimd, Purpose
from pfd_operator.contract.stage import (
    STRUCTURES_DIRECTORY,
    ExploreParams,
    PreparedSystem,
    SelectParams,
    StageKind,
    StageRef,
)
from pfd_operator.contract.systems import System

from .budget import labels_left
from .names import structures_key
from .outcome import AnyStatus, found_by
from .recipe import Ending, Position
from .strata import holdout_exploration

ITERATION = (StageKind.EXPLORE, StageKind.SELECT, StageKind.LABEL, StageKind.TRAIN)


def after(last: Position, stages: Callable[[int], Sequence[StageKind]]) -> Position:
    """Return the stage that follows in the plain order: prepare, then iterations one after another.

    Parameters
    ----------
    stages
        Those of an iteration; the last one need not be among them, if the spec has changed since.
    """
    done = ITERATION[: ITERATION.index(last.stage) + 1] if last.stage in ITERATION else ()
    left = [stage for stage in stages(last.iteration) if stage not in done]
    return Position(last.iteration, left[0]) if left else Position(last.iteration + 1, stages(last.iteration + 1)[0])


def purpose_of(iteration: int) -> Purpose:
    """Return what the frames of an iteration are for: the first one's are never trained on."""
    return TRAINING if iteration else HOLD_OUT


def explored(
    spec: JobSpec, status: JobStatus, systems: Sequence[str], iteration: int, exploration: Exploration
) -> ExploreParams:
    """Return what explore is told; `exploration` is that of what is trained on."""
    return ExploreParams(
        purpose=purpose_of(iteration),
        systems=list(systems),
        exploration=exploration if iteration else holdout_exploration(spec, systems, status.without_pressure),
        without_pressure=status.without_pressure or None,
        min_distance_factor=spec.selection.min_distance_factor,
        apart=spec.holdout.apart,
    )


def selected(
    spec: JobSpec, status: JobStatus, iteration: int, aimd: Aimd | None = None, noise_check: NoiseCheck | None = None
) -> SelectParams:
    """Return what select is told; `aimd` is what the hold-out's labels come with."""
    if iteration == 0:
        return SelectParams(
            purpose=purpose_of(iteration),
            frames=spec.holdout.labels,
            representative_fraction=1.0,
            aimd=aimd,
            apart=spec.holdout.apart,
            noise_frames=None if noise_check is None else noise_check.frames,
        )
    left, farthest = labels_left(spec, status, iteration), 0 if noise_check is None else noise_check.farthest
    # each may be labelled twice: of the last labels at least half are of frames to train on
    most = max(left - farthest, (left + 1) // 2)
    # at least one: a budget lowered after the stage was intended must not make it a stage of nothing
    frames = max(1, min(spec.selection.frames_per_iteration, most))
    return SelectParams(
        purpose=purpose_of(iteration),
        frames=frames,
        representative_fraction=spec.selection.representative_fraction,
        novelty=spec.selection.novelty,
        low_energy_fraction=spec.selection.low_energy_fraction,
        close_contact_fraction=spec.selection.close_contact_fraction,
        min_distance_factor=spec.selection.min_distance_factor,
        # not 0: stages of jobs without a noise check are what they were
        noise_frames=max(0, min(farthest, left - frames)) or None,
    )


def stopped(spec: JobSpec, status: JobStatus, position: Position, attempted: bool, start_labels: int) -> Ending | None:
    """Say why a round does not begin, or stops before it costs labels: the user's wish, or no label left."""
    if position == Position(0, StageKind.SELECT):
        return _start_stopped(spec, status, start_labels)
    if position.iteration == 0 or position.stage not in (StageKind.EXPLORE, StageKind.SELECT):
        return None
    if position.stage is StageKind.EXPLORE and not attempted and spec.stop is Stop.AFTER_ITERATION:
        message = f"stopped after iteration {position.iteration - 1} (spec.stop); remove spec.stop to go on"
        return Ending(Phase.CANCELLED, OperatorReason.CANCELLED, message)
    if labels_left(spec, status, position.iteration) == 0:
        message = (
            f"all {spec.budget.max_labels} labels (spec.budget.maxLabels) are paid for and the model is not yet "
            f"good enough: {last_words(status)}. Raise the budget to go on"
        )
        return Ending(Phase.BUDGET_EXHAUSTED, OperatorReason.LABEL_BUDGET, message)
    return None


def _start_stopped(spec: JobSpec, status: JobStatus, needed: int) -> Ending | None:
    """Say why a start that is made anew may not be labelled; the first one always may."""
    left = labels_left(spec, status, 0)
    if left >= needed:
        return None
    message = (
        f"{left} of {spec.budget.max_labels} labels (spec.budget.maxLabels) are left, but repeating the start takes "
        f"{needed}: raise the budget to {status.labels.paid + needed} to go on"
    )
    return Ending(Phase.BUDGET_EXHAUSTED, OperatorReason.LABEL_BUDGET, message)


def prepared(system: System) -> PreparedSystem:
    """Return a system as prepare reads it: ConfigMaps are files of its pod."""
    given = system.structures
    if given.uri is not None:
        address = given.uri
    else:
        key = given.config_map.key if given.config_map is not None else structures_key(system.name)
        address = f"{STRUCTURES_DIRECTORY}/{system.name}/{key}"
    return PreparedSystem(name=system.name, structures=address, perturb=system.perturb)


def take_counts(spec: JobSpec, status: AnyStatus, results: Sequence[StageResult]) -> AnyStatus:
    """Return the status with what is taken alike in all recipes: structures, and the tasks that label has."""
    if (prepared := found_by(results, PrepareOutcome)) is not None:
        if (structures := prepared.training_structures.get(spec.holdout.apart)) is not None:
            status = with_count(status, TRAINING_STRUCTURES, structures)
        status = status.model_copy(update={"without_pressure": prepared.without_pressure})
    if (selected := found_by(results, SelectOutcome)) is not None:
        status = with_count(status, TASKS, selected.tasks)
    return status


def with_count(status: AnyStatus, name: str, count: int) -> AnyStatus:
    """Return the status with a size that a later stage or a restart is planned by."""
    return status.model_copy(update={"counts": status.counts | {name: count}})


def last_stages(inputs: Mapping[str, StageRef], names: Sequence[StageKind]) -> dict[str, StageRef]:
    """Return the last finished stage of each of these kinds, under its own name."""
    return {name.value: inputs[name.value] for name in names}


def last_words(status: JobStatus) -> str:
    """Return what was said of the last iteration."""
    return status.iterations[-1].message if status.iterations else "no iteration has ended"

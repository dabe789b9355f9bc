"""What the recipes share: how stages are dealt over pods, and how results are taken."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from pfd_operator.api.status import JobStatus
from pfd_operator.contract.result import StageResult
from pfd_operator.contract.settings import Exploration, System
from pfd_operator.contract.stage import STRUCTURES_DIRECTORY, PreparedSystem, StageKind, StageRef
from pfd_operator.contract.tasks import md_tasks

from .names import structures_key
from .outcome import AnyStatus, take_labels
from .recipe import Position

ITERATION = (StageKind.EXPLORE, StageKind.SELECT, StageKind.LABEL, StageKind.TRAIN)


def after(last: Position) -> Position:
    """Return the stage that follows in the plain order: prepare, then iterations one after another."""
    if last.stage is StageKind.PREPARE:
        return Position(0, ITERATION[0])
    place = ITERATION.index(last.stage) + 1
    if place == len(ITERATION):
        return Position(last.iteration + 1, ITERATION[0])
    return Position(last.iteration, ITERATION[place])


def pods_of(
    stage: StageKind,
    status: JobStatus,
    systems: Sequence[str],
    exploration: Exploration,
    frames_per_pod: int,
    parallelism: int,
) -> tuple[int | None, int]:
    """Return (completions, pods at a time) of a stage.

    Parameters
    ----------
    systems
        Names of the systems that are explored.
    frames_per_pod, parallelism
        Of label stages.
    """
    if stage is StageKind.EXPLORE:
        # how many there are does not depend on the seed
        pods = min(exploration.pods, len(md_tasks(systems, exploration, 0)))
        return pods, pods
    if stage is StageKind.LABEL:
        pods = max(1, math.ceil(status.counts.get("tasks", 1) / frames_per_pod))
        return pods, min(parallelism, pods)
    return None, 1


def prepared(system: System) -> PreparedSystem:
    """Return a system as prepare reads it: ConfigMaps are files of its pod."""
    given = system.structures
    if given.uri is not None:
        address = given.uri
    else:
        key = given.config_map.key if given.config_map is not None else structures_key(system.name)
        address = f"{STRUCTURES_DIRECTORY}/{system.name}/{key}"
    return PreparedSystem(name=system.name, structures=address, perturb=system.perturb)


def take_counts(status: AnyStatus, results: Sequence[StageResult]) -> AnyStatus:
    """Return the status with what every stage reports: labels, and sizes added up over its pods."""
    status = take_labels(status, results)
    counts = dict(status.counts)
    for name in {name for result in results for name in result.counts}:
        counts[name] = sum(result.counts.get(name, 0) for result in results)
    return status.model_copy(update={"counts": counts})


def last_stages(inputs: Mapping[str, StageRef], names: Sequence[StageKind]) -> dict[str, StageRef]:
    """Return the last finished stage of each of these kinds, under its own name."""
    return {name.value: inputs[name.value] for name in names}


def last_words(status: JobStatus) -> str:
    """Return what was said of the last iteration."""
    return status.iterations[-1].message if status.iterations else "no iteration has ended"

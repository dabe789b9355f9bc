"""Strata, that is systems, temperatures and pressures if they have one: of the exploration, and those to be judged."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from pfd_operator.api.job import JobSpec
from pfd_operator.contract.exploration import Exploration, ExplorationStage
from pfd_operator.contract.tasks import candidates_of_system, stages_of_systems, strata_of_system, trajectories_of
from pfd_operator.contract.text import first_of

HOLDOUT_TRAJECTORIES = 8
"""At least, if it has as many frames: an interval over so many is about as good as one over independent frames."""
_WHY_NONE = "either all MD exploded there at once, or spec.exploration was changed after the hold-out was made"


def stages_in(spec: JobSpec, without_pressure: Collection[str]) -> dict[str, dict[int, ExplorationStage]]:
    """Return what is run of each system that a spec names."""
    return stages_of_systems(spec.system_names, spec.exploration, without_pressure)


def strata_of(spec: JobSpec, without_pressure: Collection[str]) -> list[str]:
    """Return the strata of a job's exploration."""
    stages = stages_in(spec, without_pressure)
    return [stratum for system, mine in stages.items() for stratum in strata_of_system(system, mine.values())]


def number_of_strata(spec: JobSpec) -> int:
    """Return how many strata those are, as far as it is known before prepare has looked at the structures."""
    return len(strata_of(spec, _slabs(spec)))


def _slabs(spec: JobSpec) -> list[str]:
    """Return the systems that have no pressure for sure."""
    return [system.name for system in spec.systems if system.perturb.slab is not None]


def holdout_exploration(spec: JobSpec, systems: Sequence[str], without_pressure: Collection[str]) -> Exploration:
    """Return the exploration with so many replicas that the hold-out is of trajectories enough.

    Frames of one trajectory are alike, so that more of them tell little more. MD of the model costs next to nothing
    beside a label, and labels are not more for it.
    """
    wanted = min(spec.holdout.frames, HOLDOUT_TRAJECTORIES)
    # a restart may name systems that there are not, before it is refused
    there = max(1, trajectories_of(systems, spec.exploration, without_pressure))
    times = math.ceil(wanted / there)
    stages = [each.model_copy(update={"replicas": times * each.replicas}) for each in spec.exploration.stages]
    return spec.exploration.model_copy(update={"stages": stages})


def too_few_for_the_holdout(spec: JobSpec) -> str:
    """Say why the hold-out cannot have as many frames as asked for; nothing if it can."""
    systems, slabs = spec.system_names, _slabs(spec)
    held_out = stages_of_systems(systems, holdout_exploration(spec, systems, slabs), slabs)
    most = sum(candidates_of_system(mine.values()) for mine in held_out.values())
    if most >= spec.holdout.labels:
        return ""
    return (
        f"the hold-out asks for {spec.holdout.frames} frames (spec.holdout.frames), but all trajectories of the "
        f"exploration together give {most}: a frame every sampleEvery steps, once MD has its temperature. "
        "Give it more steps or replicas, a smaller sampleEvery, or ask for fewer frames"
    )


def systems_of(strata: Sequence[str]) -> list[str]:
    """Return the systems that strata are of."""
    return sorted({stratum.partition("/")[0] for stratum in strata})


def strata_left_out(asked: Sequence[str], held_out: Sequence[str], why: str = _WHY_NONE) -> str:
    """Say of which strata of the exploration the hold-out has no frame; nothing if it has some of each.

    Parameters
    ----------
    asked
        Those of the exploration.
    held_out
        Those of the hold-out; none if they are not known.
    why
        It may be so.
    """
    if not held_out:
        return (
            "of which systems, temperatures and pressures the hold-out has frames is not known: they are too many for "
            "the message of the train stage's pod. Leave spec.convergence.everyStratum out, or explore fewer and "
            "restart from 0"
        )
    there = set(held_out)
    names = [stratum for stratum in asked if stratum not in there]
    if not names:
        return ""
    return f"the hold-out has no frame in {first_of(names, 3)}, so the error there is not known: {why}"

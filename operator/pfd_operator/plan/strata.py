"""Strata, that is systems, temperatures and pressures: those of the exploration, and those that can be judged."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pfd_operator.api.job import JobSpec
from pfd_operator.contract.exploration import Exploration
from pfd_operator.contract.tasks import candidates_of_system, strata_of_system, trajectories_of_system
from pfd_operator.contract.text import first_of

HOLDOUT_TRAJECTORIES = 8
"""At least, if it has as many frames: an interval over so many is about as good as one over independent frames."""


def strata_of(spec: JobSpec) -> list[str]:
    """Return the strata of a job's exploration."""
    return [stratum for system in spec.systems for stratum in strata_of_system(system.name, spec.exploration)]


def number_of_strata(spec: JobSpec) -> int:
    """Return how many strata those are."""
    # each system has those of the others
    return len(spec.systems) * len(strata_of_system(spec.systems[0].name, spec.exploration))


def holdout_exploration(spec: JobSpec, systems: int) -> Exploration:
    """Return the exploration with so many replicas that the hold-out is of trajectories enough.

    Frames of one trajectory are alike, so that more of them tell little more. MD of the model costs next to nothing
    beside a label, and labels are not more for it.
    """
    wanted = min(spec.holdout.frames, HOLDOUT_TRAJECTORIES)
    times = math.ceil(wanted / (systems * trajectories_of_system(spec.exploration)))
    stages = [each.model_copy(update={"replicas": times * each.replicas}) for each in spec.exploration.stages]
    return spec.exploration.model_copy(update={"stages": stages})


def too_few_for_the_holdout(spec: JobSpec) -> str:
    """Say why the hold-out cannot have as many frames as asked for; nothing if it can."""
    systems = len(spec.systems)
    most = systems * candidates_of_system(holdout_exploration(spec, systems))
    if most >= spec.holdout.frames:
        return ""
    return (
        f"the hold-out asks for {spec.holdout.frames} frames (spec.holdout.frames), but all trajectories of the "
        f"exploration together give {most}: a frame every sampleEvery steps, once MD has its temperature. "
        "Give it more steps or replicas, a smaller sampleEvery, or ask for fewer frames"
    )


def strata_left_out(asked: Sequence[str], held_out: Sequence[str], number: int | None) -> str:
    """Say of which strata of the exploration the hold-out has no frame; nothing if it has some of each.

    Parameters
    ----------
    asked
        Those of the exploration.
    held_out
        Those of the hold-out; none if only their number is known.
    number
        How many those are; None if nothing is known.
    """
    if number is None:
        return "of which strata the hold-out has frames is not known: the worker did not report it"
    if held_out:
        there = set(held_out)
        names = [stratum for stratum in asked if stratum not in there]
        where = first_of(names, 3)
    else:
        missing = len(asked) - number
        where = f"{missing} of {len(asked)} strata" if missing > 0 else ""
    if not where:
        return ""
    return (
        f"the hold-out has no frame in {where}, so the error there is not known: either all MD exploded there at once, "
        "or spec.exploration was changed after the hold-out was made"
    )

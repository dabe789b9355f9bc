"""Which trajectories a pod of an exploration runs, each from which start."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from ase import Atoms

from pfd_operator.contract.digest import seed_of
from pfd_operator.contract.selection import HOLD_OUT, Purpose
from pfd_operator.contract.stage import ExploreParams
from pfd_operator.contract.strata import exact_number
from pfd_operator.contract.tasks import MdTask, md_tasks, tasks_of_index
from pfd_worker.start_pools import by_system, holdout_starts, structures_in_turn, training_starts


@dataclass(frozen=True)
class Run:
    """A trajectory to run."""

    name: str
    task: MdTask
    start: Atoms


def runs_of(starts: list[Atoms], params: ExploreParams, seed: int, iteration: int, index: int) -> list[Run]:
    """Return the trajectories of one index.

    Parameters
    ----------
    starts
        All that there are.
    params
        What is asked for.
    seed
        Of the stage.
    iteration, index
        Whose trajectories: iterations go on through the starts where the one before ended.
    """
    dealt = _dealt(starts, params, seed)
    runs = []
    for task, ordinal in _tasks(params, seed, iteration, index):
        mine = dealt[task.system]
        runs.append(Run(_name(iteration, params.purpose, task), task, mine[ordinal % len(mine)]))
    return runs


def _tasks(params: ExploreParams, seed: int, iteration: int, index: int) -> list[tuple[MdTask, int]]:
    """Return an index's tasks, each with its running number among those of its system in all iterations."""
    seed = seed_of(seed, "explore", params.purpose, iteration)
    tasks = md_tasks(params.systems, params.exploration, seed, params.without_pressure or ())
    counts = Counter(task.system for task in tasks)
    # iterations go on through the starts: began each with the first, most of many would never be simulated
    begun = max(0, iteration - 1)
    # in an order of its own each: a condition that always came first would begin at the same few in all of them
    ordinals = {
        system: iter(begun * count + np.random.default_rng(seed_of(seed, "turns", system)).permutation(count))
        for system, count in counts.items()
    }
    numbered = [(task, int(next(ordinals[task.system]))) for task in tasks]
    return tasks_of_index(numbered, index, params.exploration.pods)


def _dealt(starts: list[Atoms], params: ExploreParams, seed: int) -> dict[str, list[Atoms]]:
    """Return the starts of each system in the seeded order in which its trajectories take them, one after another."""
    dealt = {}
    for system, mine in by_system(starts).items():
        pool = holdout_starts if params.purpose == HOLD_OUT else training_starts
        dealt[system] = structures_in_turn(pool(mine, params.apart), seed_of(seed, "starts", params.purpose, system))
    return dealt


def _name(iteration: int, purpose: Purpose, task: MdTask) -> str:
    pressure = "" if task.pressure_bar is None else f"-{exact_number(task.pressure_bar)}bar"
    temperature = exact_number(task.temperature_kelvin)
    return f"i{iteration:03d}-{purpose}-{task.system}-s{task.stage}-{temperature}K{pressure}-r{task.replica}"

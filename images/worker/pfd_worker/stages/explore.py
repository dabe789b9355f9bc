"""Explore: MD with the current model; candidate frames and their features."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator

from pfd_operator.contract.digest import seed_of
from pfd_operator.contract.outcome import ExploreOutcome
from pfd_operator.contract.selection import HOLD_OUT, Purpose
from pfd_operator.contract.stage import ExploreParams, Input
from pfd_operator.contract.strata import exact_number
from pfd_operator.contract.tasks import MdTask, md_tasks, tasks_of_index
from pfd_worker import stage_files
from pfd_worker.errors import preempted
from pfd_worker.families import open_model
from pfd_worker.frames import read_frames, write_frames
from pfd_worker.md.conditions import long_timestep
from pfd_worker.md.together import AbandonedError, run_together, trajectories_together
from pfd_worker.md.trajectory import TrajectoryOutcome, run_trajectory
from pfd_worker.models.base import FEATURE_FORM, AtomisticModel
from pfd_worker.models.features import features_of
from pfd_worker.selection.representative import Candidate
from pfd_worker.stage_context import StageContext, StageOutput
from pfd_worker.start_pools import by_system, holdout_starts, structures_in_turn, training_starts
from pfd_worker.summaries import ExploreSummary, PrepareSummary, TrajectorySummary


def run(context: StageContext) -> StageOutput:
    """Run the trajectories of this index and reduce their frames to features on the spot."""
    params = context.params(ExploreParams)
    prepared = context.one(Input.PREPARE)
    starts = read_frames(context.fetch(prepared, stage_files.STARTS))
    elements = prepared.told(PrepareSummary)["elements"]
    model = open_model(context, context.one(Input.MODEL))
    runs = runs_of(starts, params, context.spec.seed, context.spec.iteration, context.index or 0)
    outcomes = _run_all(context, params, model, runs)
    for run, outcome in zip(runs, outcomes, strict=True):
        outcome.drop_equilibration(run.task.equilibration_steps)
    trajectories = [_record(run, outcome) for run, outcome in zip(runs, outcomes, strict=True)]
    frames = [atoms for outcome in outcomes for atoms in outcome.frames]
    output = _output(context.workdir, frames, trajectories, model, elements)
    with_hydrogen = [
        system for system, mine in by_system(starts).items() if any("H" in atoms.symbols for atoms in mine)
    ]
    return replace(output, cautions=[long_timestep(params.exploration, with_hydrogen)])


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


def _run_all(
    context: StageContext, params: ExploreParams, model: AtomisticModel, runs: Sequence[Run]
) -> list[TrajectoryOutcome]:
    pace = _Pace(context, sum(run.task.steps for run in runs))

    def run_one(run: Run, calculator: Calculator) -> TrajectoryOutcome:
        outcome = run_trajectory(
            run.start,
            calculator,
            run.task,
            run.name,
            params.min_distance_factor,
            context.stopping,
            partial(pace.tell, run.name),
        )
        if context.stopping.is_set():
            raise preempted(f"stopped in {run.name}; MD of this index starts anew.")
        pace.tell(run.name, run.task.steps)
        return outcome

    together = trajectories_together(model, [run.start for run in runs])
    try:
        return run_together(model, [partial(run_one, run) for run in runs], together, context.stopping)
    except AbandonedError:
        raise preempted("stopped; MD of this index starts anew.") from None


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


def _record(run: Run, outcome: TrajectoryOutcome) -> TrajectorySummary:
    return TrajectorySummary(
        name=run.name,
        stratum=run.task.stratum,
        start=int(run.start.info["start"]),
        steps_done=outcome.steps_done,
        exploded_at_step=outcome.exploded_at_step,
        reason=outcome.reason,
        frames=len(outcome.frames),
        asked=run.task.candidates,
        mean_kelvin=outcome.mean("measured_kelvin"),
        mean_bar=outcome.mean("measured_bar"),
    )


def _output(
    folder: Path, frames: list[Atoms], trajectories: list[TrajectorySummary], model: AtomisticModel, elements: list[str]
) -> StageOutput:
    files = {name: folder / name for name in (stage_files.CANDIDATES, stage_files.FEATURES, stage_files.CANDIDATE_ROWS)}
    write_frames(files[stage_files.CANDIDATES], frames)
    np.save(files[stage_files.FEATURES], features_of(model, frames, elements))
    files[stage_files.CANDIDATE_ROWS].write_text(json.dumps([asdict(Candidate.of(atoms)) for atoms in frames]))
    exploded = sum(record["exploded_at_step"] is not None for record in trajectories)
    return StageOutput(
        files=files,
        summary=ExploreSummary(trajectories=trajectories, feature_form=FEATURE_FORM),
        outcome=ExploreOutcome(candidates=len(frames), trajectories=len(trajectories), exploded=exploded),
    )


class _Pace:
    """Progress over all trajectories of the index, told at most once a second."""

    def __init__(self, context: StageContext, total_steps: int) -> None:
        self._context = context
        self._total = max(1, total_steps)
        self._steps: Counter[str] = Counter()
        self._told = 0.0

    def tell(self, name: str, step: int) -> None:
        self._steps[name] = step
        if time.monotonic() - self._told >= 1:
            self._told = time.monotonic()
            self._context.progress(100 * self._steps.total() / self._total, f"{name}: step {step}")

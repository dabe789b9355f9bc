"""Explore: MD with the current model; candidate frames and their features."""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator

from pfd_operator.contract.outcome import ExploreOutcome
from pfd_operator.contract.stage import ExploreParams, Input
from pfd_worker import stage_files
from pfd_worker.errors import preempted
from pfd_worker.families import open_model
from pfd_worker.frames import read_frames, write_frames
from pfd_worker.md.checkpoints import CHECKPOINT_SECONDS, MdCheckpoints
from pfd_worker.md.conditions import long_timestep
from pfd_worker.md.state import TrajectoryOutcome
from pfd_worker.md.together import AbandonedError, run_together, trajectories_together
from pfd_worker.md.trajectory import run_trajectory
from pfd_worker.md_runs import Run, runs_of
from pfd_worker.models.base import FEATURE_FORM, AtomisticModel
from pfd_worker.models.features import features_of
from pfd_worker.selection.representative import Candidate
from pfd_worker.stage_context import StageContext, StageOutput
from pfd_worker.start_pools import by_system
from pfd_worker.store.checkpoints import checkpoints_folder
from pfd_worker.summaries import ExploreSummary, PrepareSummary, TrajectorySummary

_log = logging.getLogger(__name__)


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
    output = _output(context, frames, trajectories, model, elements)
    with_hydrogen = [
        system for system, mine in by_system(starts).items() if any("H" in atoms.symbols for atoms in mine)
    ]
    return replace(output, cautions=[long_timestep(params.exploration, with_hydrogen)])


def _run_all(
    context: StageContext, params: ExploreParams, model: AtomisticModel, runs: Sequence[Run]
) -> list[TrajectoryOutcome]:
    pace = _Pace(context, sum(run.task.steps for run in runs))
    checkpoints = _checkpoints(context, runs)

    def run_one(run: Run, calculator: Calculator) -> TrajectoryOutcome:
        outcome = run_trajectory(
            run.start,
            calculator,
            run.task,
            run.name,
            params.min_distance_factor,
            context.stopping,
            partial(pace.tell, run.name),
            kept=checkpoints.of(run.name),
        )
        if context.stopping.is_set():
            raise AbandonedError
        pace.tell(run.name, run.task.steps)
        return outcome

    together = trajectories_together(model, [run.start for run in runs])
    try:
        return run_together(model, [partial(run_one, run) for run in runs], together, context.stopping)
    except AbandonedError:
        raise preempted(f"stopped; MD goes on from the {checkpoints.save()} steps that are stored.") from None


def _checkpoints(context: StageContext, runs: Sequence[Run]) -> MdCheckpoints:
    folder = f"{checkpoints_folder(context.work_digest)}index-{context.index or 0:05d}/"
    checkpoints = MdCheckpoints(context.store, folder, {run.name: run.start for run in runs}, CHECKPOINT_SECONDS)
    done = checkpoints.load()
    if done:
        _log.info("MD goes on from %d of %d steps", done, sum(run.task.steps for run in runs))
    return checkpoints


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
    context: StageContext,
    frames: list[Atoms],
    trajectories: list[TrajectorySummary],
    model: AtomisticModel,
    elements: list[str],
) -> StageOutput:
    files = {
        name: context.workdir / name
        for name in (stage_files.CANDIDATES, stage_files.FEATURES, stage_files.CANDIDATE_ROWS)
    }
    write_frames(files[stage_files.CANDIDATES], frames)
    np.save(files[stage_files.FEATURES], features_of(model, frames, elements))
    files[stage_files.CANDIDATE_ROWS].write_text(json.dumps([asdict(Candidate.of(atoms)) for atoms in frames]))
    exploded = sum(record["exploded_at_step"] is not None for record in trajectories)
    return StageOutput(
        files=files,
        summary=ExploreSummary(trajectories=trajectories, feature_form=FEATURE_FORM, checkpoints=context.work_digest),
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

"""What of two rounds is drawn alike and what is not, with the seed that the operator's planner gives their stages."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from ase import Atoms

from pfd_operator.api.distill import DistillJobSpec
from pfd_operator.api.status import DistillJobStatus
from pfd_operator.contract.location import StoreLocation
from pfd_operator.contract.stage import ExploreParams, JobIdentity, StageKind, StageRef, StageSpec
from pfd_operator.plan.distill import DISTILL
from pfd_operator.plan.recipe import Position
from pfd_operator.plan.stages import plan_stage
from pfd_operator.plan.types import Settings
from pfd_worker import md_runs
from pfd_worker.rounds.base import Round
from pfd_worker.stage_context import StageContext
from pfd_worker.store.location import open_store

SPEC = DistillJobSpec.model_validate(
    {
        "teacher": {"calculator": {"calculator": "ase.calculators.emt:EMT"}},
        "systems": [{"name": "copper", "structures": {"inline": "1\n\nCu 0 0 0\n"}}],
        "exploration": {"stages": [{"temperaturesKelvin": [300, 900]}]},
        "holdout": {"frames": 4},
        "selection": {"framesPerIteration": 400},
        "acceptance": {"forceRMSE": 0.08},
        "budget": {"maxIterations": 6, "maxLabels": 4000},
        "artifacts": {"s3": {"bucket": "pfd", "prefix": "light", "endpoint": "http://s3:7070"}},
        "seed": 5,
    }
)
DONE = {kind.value: StageRef(digest=f"{number:x}" * 64) for number, kind in enumerate(StageKind)}


def planned(folder: Path, iteration: int, stage: StageKind) -> StageContext:
    """A stage as the operator's planner asks for it."""
    begun = [ended(StageKind.SELECT), ended(StageKind.LABEL)]
    status = DistillJobStatus.model_validate({"inputs": DONE, "stages": begun})
    told = plan_stage(DISTILL, SPEC, status, Settings("worker:1", {}), Position(iteration, stage))
    location = StoreLocation(directory=f"file://{folder}")
    spec = StageSpec(
        job=JobIdentity(namespace="lab", kind="DistillJob", name="light", uid="uid"),
        iteration=iteration,
        attempt=1,
        seed=told.seed,
        digest=told.digest,
        inputs=told.inputs,
        store=location,
        params=told.params,
    )
    return StageContext(spec, open_store(location), folder)


def planned_runs(folder: Path, iteration: int, starts: list[Atoms]) -> list[md_runs.Run]:
    context = planned(folder, iteration, StageKind.EXPLORE)
    return md_runs.runs_of(starts, context.params(ExploreParams), context.spec.seed, iteration, index=0)


def ended(stage: StageKind) -> dict[str, object]:
    return {"iteration": 0, "stage": stage, "digest": "f" * 64, "attempts": 1, "seconds": 1}


def test_each_round_is_trained_with_a_seed_of_its_own(tmp_path):
    runs = []
    for iteration in (1, 2):
        context = planned(tmp_path, iteration, StageKind.TRAIN)
        told = SimpleNamespace(context=context, params=context.spec.params, training_folder=tmp_path)
        runs.append(Round.training_run(told, lambda frames, seed: None))  # type: ignore[arg-type, return-value]
    assert runs[0].seed != runs[1].seed


def test_exploration_goes_on_through_the_starts_with_velocities_of_its_own(tmp_path):
    starts = [
        Atoms(info={"system": "copper", "start": number, "frame": number, "variation": variation})
        for number in range(12)
        for variation in (0, 1)
    ]
    seeds, begun = [], []
    for iteration in range(7):
        runs = planned_runs(tmp_path, iteration, starts)
        seeds += [run.task.seed for run in runs]
        if iteration:
            begun += [run.start.info["start"] for run in runs]
    assert len(seeds) == len(set(seeds)) == 4 + 6 * 2
    assert sorted(begun) == list(range(12))


def test_no_condition_begins_from_the_same_few_starts_in_all_iterations(tmp_path):
    starts = [
        Atoms(info={"system": "copper", "start": 2 * number + variation, "frame": number, "variation": variation})
        for number in range(4)
        for variation in (0, 1)
    ]
    begun: dict[str, set[int]] = {}
    for iteration in range(1, 7):
        for run in planned_runs(tmp_path, iteration, starts):
            begun.setdefault(run.task.stratum, set()).add(run.start.info["frame"])
    # two conditions and four starts: in turn, each would have two of them
    assert len(begun) == 2 and all(len(structures) > 2 for structures in begun.values())

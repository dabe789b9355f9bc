"""Run the rounds of a DistillJob on this machine: the operator's recipe, the worker's stages, a folder as the store.

    local_rounds.py --job examples/high-entropy-alloy/distill.yaml --workdir build/rounds --set spec.training.steps=8000
    local_rounds.py --job … --workdir … --teacher-explores --survival-steps 3000

For questions about method, without a cluster: what comes out is what the operator's pods would have found. Runs in one
folder share every stage that is the same (the teacher's hold-out and first round, mostly), so that variants are
compared on the same hold-out. Prints a line for each round and writes NAME.json. ConfigMaps are read from the
structures folder beside the job.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import yaml

from pfd_operator.api.distill import DistillJobSpec
from pfd_operator.api.status import DistillJobStatus, StageRecord
from pfd_operator.contract.location import StoreLocation
from pfd_operator.contract.outcome import ExploreOutcome, Outcome, TrainOutcome
from pfd_operator.contract.result import StageResult
from pfd_operator.contract.stage import ExploreParams, JobIdentity, PrepareParams, StageKind, StageRef, StageSpec
from pfd_operator.plan.distill import Distill
from pfd_operator.plan.outcome import add_record
from pfd_operator.plan.recipe import Position
from pfd_operator.plan.stages import StagePlan, plan_stage
from pfd_operator.plan.types import Settings
from pfd_worker.run import run_stage
from pfd_worker.stage_context import StageContext
from pfd_worker.store.location import open_store
from pfd_worker.store.manifests import Manifest, read_manifest

SETTINGS = Settings(worker_image="local", engine_images={})
_Kind = TypeVar("_Kind", bound=Outcome)


class TeacherExplores(Distill):
    """The same recipe, but for who explores: the teacher in every round."""

    def inputs(self, status: DistillJobStatus, position: Position) -> dict[str, StageRef]:
        """Return what a stage reads."""
        inputs = super().inputs(status, position)
        if position.stage is StageKind.EXPLORE:
            inputs["model"] = inputs["prepare"]
        if position.stage is StageKind.SELECT:
            # its features are the student's, those of the candidates the teacher's: they have no distance
            inputs.pop("train", None)
        return inputs


class LocalRounds:
    """One job on this machine.

    Parameters
    ----------
    job
        The manifest.
    structures
        Folder of the files that its ConfigMaps hold.
    folder
        Where the store and the stages' work are.
    recipe
        Who explores when.
    """

    def __init__(self, job: Mapping[str, Any], structures: Path, folder: Path, recipe: Distill) -> None:
        self.spec = DistillJobSpec.model_validate(job["spec"])
        self.recipe = recipe
        self.status = DistillJobStatus()
        self._structures = structures
        self._folder = folder
        self._location = StoreLocation(directory=f"file://{folder / 'store'}")
        self._store = open_store(self._location)
        # the ledger is by job: one of its own for each run, so that labels are counted for each
        self._job = JobIdentity(
            namespace="local", kind=job["kind"], name=job["metadata"]["name"], uid=str(time.time_ns())
        )

    def run(self) -> list[dict[str, Any]]:
        """Run until the student would be judged; return what was found in each round."""
        rounds = []
        while (position := self.recipe.next(self.spec, self.status)).stage is not StageKind.ACCEPT:
            if self.recipe.ending(self.spec, self.status, position, attempted=False) is not None:
                break
            results = self.stage(plan_stage(self.recipe, self.spec, self.status, SETTINGS, position))
            if position.stage is StageKind.TRAIN:
                rounds.append(self._round(position.iteration, results[0]))
                print(_line(rounds[-1]), flush=True)
        return rounds

    def survival(self, steps: int) -> dict[str, Any]:
        """Run MD of this length with the last student from the training starts; return how it ended by stratum."""
        iteration = self.status.stages[-1].iteration + 1
        position = Position(iteration, StageKind.EXPLORE)
        planned = plan_stage(Distill(), self.spec, self.status, SETTINGS, position)
        if not isinstance(planned.params, ExploreParams):
            raise TypeError("explore was not planned")
        exploration = planned.params.exploration
        longer = [stage.model_copy(update={"steps": steps, "sample_every": steps}) for stage in exploration.stages]
        params = planned.params.model_copy(update={"exploration": exploration.model_copy(update={"stages": longer})})
        longer_run = replace(planned, params=params)
        self._compute(longer_run)
        found: dict[str, dict[str, float]] = {}
        for index in range(planned.completions or 1):
            for record in self._manifest(longer_run.digest, index).summary["trajectories"]:
                of = found.setdefault(record["stratum"], {"trajectories": 0, "exploded": 0, "steps": 0})
                of["trajectories"] += 1
                of["exploded"] += record["exploded_at_step"] is not None
                of["steps"] += record["steps_done"]
        return found

    def stage(self, planned: StagePlan) -> list[StageResult]:
        """Compute a stage, all its indexes, and take what it found into the status."""
        begun = time.monotonic()
        results = self._compute(planned)
        position, digest = planned.position, results[0].digest or planned.digest
        self.status = self.recipe.take(self.spec, self.status, position, results)
        ref = StageRef(digest=digest, completions=planned.completions)
        self.status = self.status.model_copy(update={"inputs": self.status.inputs | {position.stage.value: ref}})
        seconds = round(time.monotonic() - begun)
        record = StageRecord(
            iteration=position.iteration,
            stage=position.stage,
            digest=digest,
            completions=planned.completions,
            attempts=1,
            seconds=seconds,
            reused=all(result.reused for result in results),
        )
        self.status = add_record(self.status, record)
        print(f"  {position}: {seconds} s{', reused' if record.reused else ''}", file=sys.stderr, flush=True)
        return results

    def _compute(self, planned: StagePlan) -> list[StageResult]:
        spec = StageSpec(
            job=self._job,
            iteration=planned.position.iteration,
            attempt=1,
            seed=planned.seed,
            digest=planned.digest,
            inputs=planned.inputs,
            store=self._location,
            params=self._with_files(planned.params),
        )
        cores = len(os.sched_getaffinity(0))
        indexes: list[int | None] = [None] if planned.completions is None else list(range(planned.completions))
        processes = min(cores, len(indexes))
        told, threads = spec.model_dump_json(by_alias=True), cores // processes
        arguments = [(told, self._folder, index, threads) for index in indexes]
        # a process for each stage, as there is a pod: threads are set before anything is imported
        with multiprocessing.get_context("spawn").Pool(processes, maxtasksperchild=1) as pool:
            return pool.starmap(_run, arguments, chunksize=1)

    def _with_files(self, params: Any) -> Any:
        if not isinstance(params, PrepareParams):
            return params
        systems = [
            system.model_copy(update={"structures": str(self._structures / Path(system.structures).name)})
            for system in params.systems
        ]
        return params.model_copy(update={"systems": systems})

    def _manifest(self, digest: str, index: int | None = None) -> Manifest:
        manifest = read_manifest(self._store, digest, index)
        if manifest is None:
            raise FileNotFoundError(f"stage {digest[:12]} has no manifest in {self._folder}")
        return manifest

    def _round(self, iteration: int, result: StageResult) -> dict[str, Any]:
        manifest = self._manifest(str(result.digest))
        evaluation = json.loads(self._store.get(manifest.files["evaluation.json"].key) or b"{}")
        explored = self.status.inputs[StageKind.EXPLORE]
        manifests = [self._manifest(explored.digest, index) for index in range(explored.completions or 1)]
        exploded = sum(_found(manifest.result, ExploreOutcome).exploded for manifest in manifests)
        return {
            "round": iteration,
            "frames": _found(result, TrainOutcome).training_frames,
            "exploded": exploded,
            "holdout": evaluation["holdout"],
            "prequential": evaluation.get("prequential"),
            "digest": manifest.digest,
        }


def _found(result: StageResult, kind: type[_Kind]) -> _Kind:
    found = result.found(kind)
    if found is None:
        raise TypeError(f"stage {str(result.digest)[:12]} does not tell a {kind.__name__}")
    return found


def _run(spec: str, folder: Path, index: int | None, threads: int) -> StageResult:
    """Compute one index in this process."""
    os.environ["OMP_NUM_THREADS"] = str(threads)
    stage = StageSpec.model_validate_json(spec)
    workdir = folder / "work" / f"{stage.digest[:12]}-{index or 0}"
    workdir.mkdir(parents=True, exist_ok=True)
    return run_stage(StageContext(spec=stage, store=open_store(stage.store), workdir=workdir, index=index))


def _line(found: Mapping[str, Any]) -> str:
    strata: dict[str, Any] = found["holdout"]["strata"]
    by_stratum = "  ".join(f"{name} {errors['forceRmse']:.3f}" for name, errors in strata.items())
    return (
        f"round {found['round']}: {found['frames']} frames, hold-out {found['holdout']['forceRmse']:.4f} eV/Å, "
        f"{found['exploded']} trajectories exploded  [{by_stratum}]"
    )


def main(arguments: list[str] | None = None) -> int:
    """Run one variant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--job", type=Path, required=True, help="the manifest of a DistillJob")
    parser.add_argument("--workdir", type=Path, required=True, help="folder of the store, shared by the variants")
    parser.add_argument("--name", default="run", help="of this variant's JSON file")
    parser.add_argument("--set", action="append", default=[], metavar="PATH=VALUE", help="change a field of the job")
    parser.add_argument("--teacher-explores", action="store_true", help="in every round, not only the first")
    parser.add_argument("--survival-steps", type=int, default=0, help="then MD of so many steps with the last student")
    options = parser.parse_args(arguments)
    job = yaml.safe_load(options.job.read_text())
    for assignment in options.set:
        path, _, value = assignment.partition("=")
        *parents, last = path.split(".")
        place = job
        for key in parents:
            place = place.setdefault(key, {})
        place[last] = yaml.safe_load(value)
    folder = options.workdir.resolve()
    recipe = TeacherExplores() if options.teacher_explores else Distill()
    rounds = LocalRounds(job, options.job.resolve().parent / "structures", folder, recipe)
    found: dict[str, Any] = {"set": options.set, "teacher_explores": options.teacher_explores, "rounds": rounds.run()}
    if options.survival_steps:
        found["survival"] = rounds.survival(options.survival_steps)
        for stratum, ended in found["survival"].items():
            print(f"MD {stratum}: {ended['exploded']} of {ended['trajectories']} exploded", flush=True)
    (folder / f"{options.name}.json").write_text(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())

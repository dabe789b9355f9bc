"""Runs stages one after another on a folder, as the planner would through Jobs."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import write

from pfd_operator.contract.location import StoreLocation
from pfd_operator.contract.result import StageResult
from pfd_operator.contract.stage import BudgetSoFar, JobIdentity, StageRef, StageSpec, stage_digest
from pfd_worker.frames import Sampling, frame_places, write_frames
from pfd_worker.labelers.registry import in_process_labeler
from pfd_worker.labelers.task import AimdSettings, Task
from pfd_worker.run import commit, run_stage
from pfd_worker.stage_context import StageContext, StageOutput
from pfd_worker.store.location import open_store
from pfd_worker.store.manifests import Manifest, read_manifest

EMT_ENGINE = {"ase": {"calculator": "ase.calculators.emt:EMT"}}
TRAINING = {"steps": 40, "checkpointSeconds": 5}
EXPLORATION = {
    "stages": [
        {"ensemble": "NVE", "temperaturesKelvin": [300, 600], "timestepFs": 4, "steps": 60, "sampleEvery": 5},
    ],
    "pods": 2,
}


@contextmanager
def labels_here() -> Iterator[None]:
    """Let stages label in this process: a child for each label stage would take longer than all else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "pfd_worker.stages.label.limited_labeler", lambda engine, seconds: nullcontext(in_process_labeler(engine))
        )
        yield


class Loop:
    """One job's stages on a store in a folder."""

    def __init__(self, folder: Path, uid: str = "uid-1", store: str = "store", seed: int = 7) -> None:
        self.folder = folder
        self.location = StoreLocation(directory=f"file://{folder / store}")
        self.store = open_store(self.location)
        self.seed = seed
        self.image = "image"
        self.job = JobIdentity(namespace="default", kind="FineTuneJob", name="copper", uid=uid)
        self.budget: BudgetSoFar | None = None
        self.runs = 0
        self.last_workdir = folder
        self.inputs: dict[str, dict[str, StageRef]] = {}
        """Of every stage run, by digest."""

    def spec(self, params: dict[str, Any], iteration: int, inputs: dict[str, StageRef]) -> StageSpec:
        draft = StageSpec.model_validate(
            {
                "job": self.job,
                "iteration": iteration,
                "attempt": 1,
                "seed": self.seed,
                "digest": "0" * 64,
                "inputs": inputs,
                "store": self.location,
                "params": params,
                "budget": self.budget,
            }
        )
        digest = stage_digest(draft.params, self.seed, iteration, inputs, self.image)
        return draft.model_copy(update={"digest": digest})

    def run(
        self,
        params: dict[str, Any],
        iteration: int = 0,
        inputs: dict[str, StageRef] | None = None,
        index: int | None = None,
        stopping: threading.Event | None = None,
        progress: Callable[[float, str], None] = lambda percent, message: None,
    ) -> StageResult:
        self.runs += 1
        self.last_workdir = self.folder / f"work-{self.runs}"
        self.last_workdir.mkdir(parents=True)
        spec = self.spec(params, iteration, inputs or {})
        self.inputs[spec.digest] = inputs or {}
        context = StageContext(
            spec=spec, store=self.store, workdir=self.last_workdir, index=index, progress=progress,
            stopping=stopping or threading.Event(),
        )  # fmt: skip
        return run_stage(context)

    def indexed(self, params: dict[str, Any], iteration: int, inputs: dict[str, StageRef], count: int) -> StageRef:
        (digest,) = {self.run(params, iteration, inputs, index).digest for index in range(count)}
        return StageRef(digest=str(digest), completions=count)

    def committed(
        self,
        params: dict[str, Any],
        iteration: int,
        files: Mapping[str, Sequence[Atoms] | bytes | str],
        summary: dict[str, Any] | None = None,
        index: int | None = None,
    ) -> StageRef:
        """Commit what a stage without inputs might have left, without running it."""
        spec = self.spec(params, iteration, {})
        folder = self.folder / f"committed-{spec.digest[:12]}-{index}"
        folder.mkdir()
        for name, content in files.items():
            if isinstance(content, str):
                (folder / name).write_text(content)
            elif isinstance(content, bytes):
                (folder / name).write_bytes(content)
            else:
                write_frames(folder / name, list(content))
        output = StageOutput(files={name: folder / name for name in files}, summary=summary or {})
        return StageRef(digest=commit(StageContext(spec, self.store, folder, index), output, 0.0).digest)

    def selected(self, frames: Sequence[Atoms], tasks: Sequence[Task], iteration: int = 1, **params: Any) -> StageRef:
        """Commit a select stage that asks for these."""
        singles = sum(task.aimd is None for task in tasks)
        about = {"stage": "select", "purpose": "training", "frames": singles, "representativeFraction": 0, **params}
        path = self.folder / "frames.extxyz"
        write_frames(path, frames)
        files: dict[str, Sequence[Atoms] | str] = {
            "frames.extxyz": frames,
            "frames.json": json.dumps(frame_places(path)),
            "tasks.json": json.dumps([task.to_json() for task in tasks]),
        }
        return self.committed(about, iteration, files, {"exploration": {}, "force_error_bound": None})

    def manifest(self, ref: StageRef | StageResult, index: int | None = None) -> Manifest:
        found = read_manifest(self.store, str(ref.digest), index)
        assert found is not None
        return found

    def load_json(self, ref: StageRef, name: str) -> Any:
        content = self.store.get(self.manifest(ref).files[name].key)
        assert content is not None
        return json.loads(content)


def single_point(frame: int, sampling: Sampling = Sampling.FARTHEST) -> Task:
    """Return the task of a frame of copper."""
    return Task(frame, "training", sampling, "s", f"t{frame}", "copper")


def aimd(frame: int, steps: int, temperature_kelvin: float = 300.0, timestep_fs: float = 2.0, seed: int = 9) -> Task:
    """Return the task of a trajectory from a frame of copper."""
    settings = AimdSettings(steps, temperature_kelvin, timestep_fs, seed)
    return replace(single_point(frame, Sampling.AIMD), aimd=settings)


def measured(result: StageResult) -> set[str]:
    """Names of the errors that a stage has found."""
    return {name for name, found in result.outcome.errors if found is not None}


def ref(result: StageResult | StageSpec) -> StageRef:
    return StageRef(digest=str(result.digest))


def prepare_params(folder: Path, pretrained: Path, **changes: Any) -> dict[str, Any]:
    structures = folder / "copper.extxyz"
    if not structures.exists():
        write(structures, bulk("Cu", cubic=True))
    return {
        "stage": "prepare",
        "model": {"uri": f"file://{pretrained}", "branch": "Hot"},
        "systems": [
            {"name": "copper", "structures": str(structures), "perturb": {"count": 8, "displacement": 0.05}},
        ],
        "training": TRAINING,
        "engine": EMT_ENGINE,
        **changes,
    }


def explore_params(purpose: str) -> dict[str, Any]:
    return {
        "stage": "explore", "purpose": purpose, "systems": ["copper"], "exploration": EXPLORATION,
        "minDistanceFactor": 0.6,
    }  # fmt: skip


LABEL = {"stage": "label", "engine": EMT_ENGINE, "framesPerPod": 50, "timeoutSeconds": 60}
TRAIN = {"stage": "train", "training": TRAINING, "maxFailedFraction": 0.2}


def iteration_zero(
    loop: Loop, prepare: StageRef, train: dict[str, Any] = TRAIN, label: dict[str, Any] = LABEL
) -> tuple[dict[str, StageRef], StageResult]:
    """Run explore, select and label of iteration 0 and its train; return its refs and the train result."""
    explore = loop.indexed(explore_params("hold-out"), 0, {"prepare": prepare, "model": prepare}, 2)
    select = loop.run(
        {
            "stage": "select",
            "purpose": "hold-out",
            "frames": 6,
            "representativeFraction": 1,
            "aimd": {"trajectories": 2, "steps": 5},
        },
        0,
        {"prepare": prepare, "explore": explore},
    )
    labels = loop.indexed(label, 0, {"select": ref(select)}, 1)
    refs = {"prepare": prepare, "label": labels, "select": ref(select)}
    return refs, loop.run(train, 0, refs)


class TwoIterations(NamedTuple):
    """A job that was run so far."""

    loop: Loop
    prepare: StageRef
    first_refs: dict[str, StageRef]
    first: StageResult
    """Of the train stage."""
    second_refs: dict[str, StageRef]
    second: StageResult


def two_iterations(loop: Loop, prepare_params: dict[str, Any]) -> TwoIterations:
    """Run prepare and the first two iterations."""
    prepare = ref(loop.run(prepare_params))
    first_refs, first = iteration_zero(loop, prepare)
    second_refs, second = later_iteration(loop, 1, prepare, ref(first))
    return TwoIterations(loop, prepare, first_refs, first, second_refs, second)


def later_iteration(
    loop: Loop, number: int, prepare: StageRef, train: StageRef, frames: int = 8
) -> tuple[dict[str, StageRef], StageResult]:
    """Run one training iteration after `train`."""
    explore = loop.indexed(explore_params("training"), number, {"prepare": prepare, "model": train}, 2)
    select = loop.run(
        {"stage": "select", "purpose": "training", "frames": frames, "representativeFraction": 0.5},
        number,
        {"prepare": prepare, "explore": explore, "train": train},
    )
    label = loop.indexed(LABEL, number, {"select": ref(select)}, 1)
    refs = {"prepare": prepare, "label": label, "select": ref(select), "train": train}
    return refs, loop.run(TRAIN, number, refs)

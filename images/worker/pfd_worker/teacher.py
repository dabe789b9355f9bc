"""Labels by the teacher: the model of `prepare` on all frames of an index at once."""

from __future__ import annotations

import json
import time
from typing import Any, cast

import numpy as np
from ase import Atoms

from pfd_operator.contract.stage import LabelParams
from pfd_worker.errors import preempted
from pfd_worker.families import open_model
from pfd_worker.frames import has_virial, labelled, read_frames, write_frames
from pfd_worker.labelers.base import task_info
from pfd_worker.models.base import AtomisticModel, Prediction
from pfd_worker.stage_context import StageContext, StageOutput
from pfd_worker.store.ledger import Ledger

_BATCH = 64
"""Frames between two looks at whether to stop; a teacher's label is not worth an object of its own in the store."""


def label_by_teacher(context: StageContext) -> StageOutput:
    """Return the teacher's labels of this index's tasks; the ledger counts them as paid, in one entry.

    A value that is not finite is a failed label with its frame.
    """
    started = time.monotonic()
    tasks, frames = _tasks(context)
    predictions = _predict(context, open_model(context, context.input("prepare")[0]), frames)
    key = f"{context.spec.digest}-{context.index or 0}"
    labels: list[Atoms] = []
    failures: list[dict[str, Any]] = []
    for task, atoms, predicted in zip(tasks, frames, predictions, strict=True):
        if _finite(predicted):
            frame = labelled(atoms, predicted.energy, predicted.forces, predicted.virial if has_virial(atoms) else None)
            virial = {"virial": frame.info["virial"]} if has_virial(atoms) else {}
            frame.info = {**task_info(task), "label_key": f"{key}-{task['frame']}", **virial}
            labels.append(frame)
        else:
            message = f"the teacher's prediction for frame {task['frame']} of {task['trajectory']} is not finite"
            failures.append({"task": task["frame"], "key": key, "reason": "NotANumber", "message": message})
    Ledger(context.store, context.spec.job.uid).record(key, "paid", len(frames))
    files = {name: context.workdir / name for name in ("labels.extxyz", "failures.json")}
    write_frames(files["labels.extxyz"], labels)
    files["failures.json"].write_text(json.dumps(failures, indent=1))
    seconds = round(time.monotonic() - started, 3)
    entry = {"key": key, "paid_by": context.spec.job.uid, "ok": True, "labels": len(frames), "seconds": seconds}
    return StageOutput(
        files=files,
        summary={"labels": [entry]},
        counts={"labels": len(labels), "failed": len(failures), "reused": 0},
    )


def _tasks(context: StageContext) -> tuple[list[dict[str, Any]], list[Atoms]]:
    params = cast(LabelParams, context.spec.params)
    selected = context.input("select")[0]
    first = (context.index or 0) * params.frames_per_pod
    tasks = json.loads(context.fetch(selected, "tasks.json").read_text())[first : first + params.frames_per_pod]
    frames = read_frames(context.fetch(selected, "frames.extxyz"))
    return tasks, [frames[task["frame"]] for task in tasks]


def _predict(context: StageContext, model: AtomisticModel, frames: list[Atoms]) -> list[Prediction]:
    predictions: list[Prediction] = []
    for first in range(0, len(frames), _BATCH):
        if context.stopping.is_set():
            raise preempted(f"stopped after {first} of {len(frames)} frames; this index starts anew.")
        predictions += model.predict(frames[first : first + _BATCH])
        context.progress(100 * len(predictions) / len(frames), f"{len(predictions)} of {len(frames)} frames")
    return predictions


def _finite(predicted: Prediction) -> bool:
    return bool(
        np.isfinite(predicted.energy) and np.isfinite(predicted.forces).all() and np.isfinite(predicted.virial).all()
    )

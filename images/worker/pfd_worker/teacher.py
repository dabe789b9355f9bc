"""Labels by the teacher: the model of `prepare` on all frames of an index at once."""

from __future__ import annotations

import logging
import math
import time
from functools import partial

from ase import Atoms

from pfd_operator.contract.stage import Input, LabelParams
from pfd_worker import stage_files
from pfd_worker.errors import preempted
from pfd_worker.families import open_model
from pfd_worker.frames import has_virial, is_labelled, labelled, read_frames
from pfd_worker.label_budget import Cost, check_budget
from pfd_worker.label_files import Failure, label_output, read_tasks, tasks_of
from pfd_worker.labelers.base import LabelFailure, Verdict
from pfd_worker.labelers.in_process import failed_by
from pfd_worker.labelers.task import Task
from pfd_worker.models.base import AtomisticModel, Prediction
from pfd_worker.models.one_by_one import predictions_or_errors
from pfd_worker.stage_context import StageContext, StageOutput
from pfd_worker.store.ledger import BookEntry
from pfd_worker.store.manifests import read_manifest
from pfd_worker.summaries import LabelSummary

_BATCH = 64
"""Frames between two looks at whether to stop; a teacher's label is not worth an object of its own in the store."""
_log = logging.getLogger(__name__)


def label_by_teacher(context: StageContext) -> StageOutput:
    """Return the teacher's labels of this index's tasks, and one entry for the ledger.

    What the teacher raises for a frame, or a value that is not finite, is a failed label of that frame.
    """
    started = time.monotonic()
    tasks = _tasks_within_budget(context)
    frames = [atoms for _, _, atoms in tasks]
    verdicts = _verdicts(context, open_model(context, context.one(Input.PREPARE)), frames)
    key = _key(context, context.index or 0)
    labels: list[Atoms] = []
    failures: list[Failure] = []
    for (number, task, _), verdict in zip(tasks, verdicts, strict=True):
        for frame in verdict.frames:
            frame.info |= task.info | {"label_key": f"{key}-{task.frame}"}
            labels.append(frame)
        if verdict.reason is not None:
            message = f"frame {task.frame} of {task.trajectory}: {verdict.message}"
            failures.append(Failure(number, f"{key}-{task.frame}", verdict.reason, message))
    seconds = round(time.monotonic() - started, 3)
    entry = BookEntry(key, context.spec.job.uid, labels=len(tasks), sound=len(labels), seconds=seconds)
    return label_output(context, labels, failures, [entry])


def _key(context: StageContext, index: int) -> str:
    return f"{context.spec.digest}-{index}"


def _tasks_within_budget(context: StageContext) -> list[tuple[int, Task, Atoms]]:
    tasks = read_tasks(context)
    check_budget(context, tasks, lambda _: _costs(context, len(tasks)))
    return tasks_of(context, tasks, context.index or 0)


def _costs(context: StageContext, total: int) -> list[Cost]:
    each = context.params(LabelParams).frames_per_pod
    # asked for again, those that failed are of the same entry
    return [
        Cost((_key(context, index),), min(each, total - index * each), partial(_is_free, context, index))
        for index in range(math.ceil(total / each))
    ]


def _is_free(context: StageContext, index: int) -> bool:
    manifest = read_manifest(context.store, context.digest, index)
    # one that is ours and not yet entered was paid for
    uid = context.spec.job.uid
    return manifest is not None and all(entry["paid_by"] != uid for entry in manifest.told(LabelSummary)["labels"])


def _verdicts(context: StageContext, model: AtomisticModel, frames: list[Atoms]) -> list[Verdict]:
    verdicts: list[Verdict] = []
    for first in range(0, len(frames), _BATCH):
        if context.stopping.is_set():
            raise preempted(f"stopped after {first} of {len(frames)} frames; this index starts anew.")
        verdicts += _batch(model, frames[first : first + _BATCH])
        bad = sum(not verdict.ok for verdict in verdicts)
        words = f"{len(verdicts)} of {len(frames)} frames" + (f", {bad} failed" if bad else "")
        context.progress(100 * len(verdicts) / len(frames), words)
    if not all(verdict.ok for verdict in verdicts):
        # prepare has seen it predict this one: if it raises now, the engine is broken and not a frame, and another
        # attempt may do better
        model.predict(read_frames(context.fetch(context.one(Input.PREPARE), stage_files.STARTS))[:1])
    return verdicts


def _batch(model: AtomisticModel, frames: list[Atoms]) -> list[Verdict]:
    def tell(error: Exception) -> None:
        _log.warning("%d frames at once: %s: %s; one after another", len(frames), type(error).__name__, error)

    found = predictions_or_errors(model, frames, model.predict, tell)
    return [_judged(*pair) for pair in zip(frames, found, strict=True)]


def _judged(atoms: Atoms, predicted: Prediction | Exception) -> Verdict:
    if isinstance(predicted, Exception):
        return failed_by(predicted)
    bare = atoms.copy()
    bare.info = {}
    virial = predicted.virial if has_virial(bare) else None
    frame = labelled(bare, predicted.energy, predicted.forces, virial)
    if not is_labelled(frame):
        return Verdict(reason=LabelFailure.NOT_A_NUMBER, message="the teacher's prediction is not finite")
    return Verdict((frame,))

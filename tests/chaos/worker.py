"""A worker in miniature: the results of a real one, in milliseconds, over the real worker's store.

Manifests, claims, label records, the ledger and the way to S3 are those of `pfd_worker.store`; MD, DFT and training are
played. Every calculation appends a line to a file that nothing else writes: it is how labels are counted from outside.
"""

from __future__ import annotations

import asyncio
import json
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from pfd_operator.contract.digest import digest_of
from pfd_operator.contract.location import S3Location
from pfd_operator.contract.outcome import (
    AcceptanceCheck,
    AcceptOutcome,
    ErrorMetrics,
    LabelOutcome,
    PrepareOutcome,
    SelectOutcome,
    SpeedUp,
    TrainingErrors,
    TrainOutcome,
)
from pfd_operator.contract.result import Reason, StageResult
from pfd_operator.contract.stage import LabelParams, SelectParams, StageKind, StageSpec
from pfd_worker.errors import StageError, preempted, user_error
from pfd_worker.store.labels import LabelRecord, LabelStore
from pfd_worker.store.ledger import BookEntry, Ledger
from pfd_worker.store.left import files_lost
from pfd_worker.store.manifests import Manifest, manifest_key, read_manifest
from pfd_worker.store.s3 import S3Store

STAGE_SECONDS = (0.01, 0.06)
CALCULATION_SECONDS = (0.005, 0.03)
WAIT_SECONDS = 0.1
REFUSED, REJECTED = "refused", "rejected"
"""Jobs whose name begins so have input that training refuses, or a student that is too slow."""


class Vanished(BaseException):
    """The node has lost its power: nothing of the pod does anything any more."""


@dataclass(frozen=True)
class Life:
    """What a process is told from outside."""

    stopping: threading.Event = field(default_factory=threading.Event)
    """SIGTERM."""
    lost: threading.Event = field(default_factory=threading.Event)
    """Its node has no power."""

    def work(self, seconds: float) -> None:
        """Take some time.

        Raises
        ------
        StageError
            Preempted, if told to stop meanwhile.
        Vanished
            If the node was lost.
        """
        stopped = self.stopping.wait(seconds)
        if self.lost.is_set():
            raise Vanished
        if stopped:
            raise preempted("stopped by SIGTERM")


class Worker:
    """Runs stages.

    Parameters
    ----------
    storage
        The bucket; every job has a prefix of its own in it.
    labels
        The file with a line for each calculation.
    """

    def __init__(self, storage: S3Location, labels: Path, seed: str) -> None:
        self._storage = storage
        self._labels = labels
        self._random = random.Random(seed)
        self._stores: dict[str, S3Store] = {}
        # as many as may run: one that waits for S3 must not keep another from running
        self._threads = ThreadPoolExecutor(256)

    def store(self, spec: StageSpec) -> S3Store:
        """Return the store of a job."""
        assert spec.store.s3 is not None
        prefix = spec.store.s3.prefix
        if prefix not in self._stores:
            self._stores[prefix] = S3Store(self._storage.model_copy(update={"prefix": prefix}))
        return self._stores[prefix]

    async def run(self, spec: StageSpec, index: int | None, life: Life) -> StageResult:
        """Run a stage as the real worker does: what is committed is returned, anything else computed and committed.

        Raises
        ------
        StageError
            As a real stage would.
        """
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._run, spec, index, life)

    def _run(self, spec: StageSpec, index: int | None, life: Life) -> StageResult:
        store = self.store(spec)
        manifest = read_manifest(store, spec.digest, index)
        reused = manifest is not None
        if manifest is None:
            self._work(life, STAGE_SECONDS)
            play: Callable[[StageSpec, int | None, Life], dict[str, Any]]
            play = getattr(self, f"_{spec.stage.value}", self._plain)
            manifest = _commit(store, spec, index, play(spec, index, life))
        ledger = Ledger(store, spec.job.uid)
        if reused and spec.stage is StageKind.LABEL:
            for key, paid_by in manifest.summary["paid_by"].items():
                ledger.enter(BookEntry(key, paid_by, labels=1, sound=1, seconds=0.01))
        counted = spec.stage in (StageKind.SELECT, StageKind.TRAIN)
        return manifest.result.model_copy(update={"reused": reused, "labels": ledger.count() if counted else None})

    def _plain(self, spec: StageSpec, index: int | None, life: Life) -> dict[str, Any]:
        return {}

    def _prepare(self, spec: StageSpec, index: int | None, life: Life) -> dict[str, Any]:
        return {
            "digest": digest_of(["what was read", spec.digest]),
            "outcome": PrepareOutcome(),
        }

    def _select(self, spec: StageSpec, index: int | None, life: Life) -> dict[str, Any]:
        params = cast(SelectParams, spec.params)
        extra = params.aimd.trajectories if params.aimd is not None else 0
        assert spec.store.s3 is not None
        tasks = [digest_of([spec.store.s3.prefix, spec.iteration, number]) for number in range(params.frames + extra)]
        return {"outcome": SelectOutcome(tasks=len(tasks), labels=len(tasks)), "summary": {"tasks": tasks}}

    def _label(self, spec: StageSpec, index: int | None, life: Life) -> dict[str, Any]:
        params, store = cast(LabelParams, spec.params), self.store(spec)
        selected = read_manifest(store, spec.inputs["select"].digest)
        if selected is None:
            raise files_lost("select", spec.inputs["select"].digest, "the manifest")
        first = (index or 0) * params.frames_per_pod
        keys = selected.summary["tasks"][first : first + params.frames_per_pod]
        paid_by = {key: self._one_label(spec, index, key, life) for key in keys}
        return {"outcome": LabelOutcome(failed=0, reused=0), "summary": {"paid_by": paid_by}}

    def _one_label(self, spec: StageSpec, index: int | None, key: str, life: Life) -> str:
        """Find a label, or claim and compute it, or wait for who does; return the uid of who paid."""
        store = self.store(spec)
        labels = LabelStore(store, f"{spec.job.uid}/{spec.digest}/{index}")
        ledger = Ledger(store, spec.job.uid)
        while (record := labels.get(key)) is None:
            ours, taken_from = labels.claim(key)
            if taken_from is not None:
                ledger.waste(key, 1)
            if not ours:
                life.work(WAIT_SECONDS)
            elif labels.get(key) is None:
                self._compute(spec, labels, key, life)
            else:
                labels.release(key, settled=True)
        ledger.enter(BookEntry(key, record.paid_by, labels=1, sound=1, seconds=0.01))
        return record.paid_by

    def _compute(self, spec: StageSpec, labels: LabelStore, key: str, life: Life) -> None:
        try:
            self._work(life, CALCULATION_SECONDS)
        except StageError:
            labels.release(key)
            raise
        # a calculation that was cut off before this is none; from here to the record nothing can cut in
        with self._labels.open("a") as lines:
            lines.write(json.dumps({"key": key, "job": spec.job.name, "uid": spec.job.uid}) + "\n")
        labels.save(LabelRecord(key, spec.job.uid, 1, ok=True, frames=[], engine={}, seconds=0.01))
        labels.release(key, settled=True)

    def _train(self, spec: StageSpec, index: int | None, life: Life) -> dict[str, Any]:
        if spec.job.name.startswith(REFUSED):
            raise user_error(Reason.TRAINING_TEMPLATE_INVALID, "spec.training.template: no such optimizer")
        # 0.2, 0.067, 0.04, … eV/Å
        error = _errors(0.2 / (1 + 2 * spec.iteration))
        others = {"prequential": error} if spec.iteration else {"pretrained": _errors(0.5), "shifted": _errors(0.4)}
        assert spec.store.s3 is not None
        trained = TrainOutcome(
            training_frames=4,
            errors=TrainingErrors(holdout=error, best=error, **others),
            best_iteration=spec.iteration,
        )
        return {
            "outcome": trained,
            "model_uri": f"s3://pfd/{spec.store.s3.prefix}/stages/{spec.digest}/best.pt",
        }

    def _accept(self, spec: StageSpec, index: int | None, life: Life) -> dict[str, Any]:
        fast = not spec.job.name.startswith(REJECTED)
        check = AcceptanceCheck(name="speedup", met=fast, message="9.5× at 108 atoms")
        speed_up = SpeedUp(atoms_asked=108, atoms=108, factor=9.5)
        return {
            "outcome": AcceptOutcome(checks=[check], speed_ups=[speed_up]),
            "model_uri": "s3://pfd/student.pth",
        }

    def _work(self, life: Life, seconds: tuple[float, float]) -> None:
        life.work(self._random.uniform(*seconds))


def _commit(store: S3Store, spec: StageSpec, index: int | None, played: dict[str, Any]) -> Manifest:
    digest = played.pop("digest", spec.digest)
    summary = played.pop("summary", {})
    result = StageResult(ok=True, digest=digest, **played)
    manifest = Manifest(digest, spec.stage.value, index, {}, summary, result)
    if store.put_if_absent(manifest_key(digest, index), manifest.to_bytes()):
        return manifest
    return read_manifest(store, digest, index) or manifest


def _errors(force: float) -> ErrorMetrics:
    return ErrorMetrics(
        frames=4, force_rmse=force, force_rmse_low=force * 0.9, force_rmse_high=force * 1.1, energy_rmse_per_atom=0.001
    )

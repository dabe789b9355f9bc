"""Checkpoints of a running training in the object store: what the next attempt goes on from, and chooses among."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from pathlib import Path

from pfd_operator.contract.result import Reason
from pfd_worker.errors import StageError, transient
from pfd_worker.store.checkpoints import checkpoints_folder
from pfd_worker.store.objects import ObjectStore

_TRIES = 5
MODELS_KEPT = 10
"""Of a training: the best checkpoint may be one of an earlier attempt, and each is some ten MB and more."""


class CheckpointStore:
    """Uploaded checkpoints of one train stage, found whatever the attempt.

    Parameters
    ----------
    objects
        The stage's object store.
    digest
        `StageContext.work_digest`: other inputs, other checkpoints.
    """

    def __init__(self, objects: ObjectStore, digest: str) -> None:
        self._objects = objects
        self._prefix = checkpoints_folder(digest)

    def steps(self) -> dict[int, str]:
        """Return step → key of what training can go on from."""
        return self._found("step")

    def _found(self, kind: str) -> dict[int, str]:
        found = {}
        for key in self._objects.list(self._prefix):
            match = re.fullmatch(rf"{kind}-(\d{{8,}})\.pt", key.removeprefix(self._prefix))
            if match:
                found[int(match[1])] = key
        return found

    def save(self, path: Path, step: int) -> None:
        """Upload a checkpoint, then drop the older ones; a kill in between leaves both, and the newest wins."""
        self._objects.upload(path, f"{self._prefix}step-{step:08d}.pt")
        for older, key in self.steps().items():
            if older < step:
                self._objects.delete(key)

    def save_model(self, path: Path, step: int) -> None:
        """Upload the model of a checkpoint; of more than `MODELS_KEPT` those stay that are spread evenly."""
        self._objects.upload(path, f"{self._prefix}model-{step:08d}.pt")
        models = self._found("model")
        while len(models) > MODELS_KEPT:
            steps = sorted(models)
            gaps = [after - before for before, after in zip(steps, steps[2:], strict=False)]
            self._objects.delete(models.pop(steps[1 + gaps.index(min(gaps))]))

    def fetch_models(self, path_of: Callable[[int], Path], below: int) -> None:
        """Download the models of checkpoints before a step to where the program looks for these."""
        for step, key in self._found("model").items():
            if step < below:
                # another pod may drop it, and then has others
                with contextlib.suppress(StageError):
                    self._objects.download(key, path_of(step))

    def fetch_newest(self, path_of: Callable[[int], Path]) -> Path | None:
        """Download the newest checkpoint to where the program looks for one of its step; None if there is none.

        Raises
        ------
        StageError
            StoreUnavailable (transient), if another pod kept replacing it by newer ones.
        """
        for _ in range(_TRIES):
            steps = self.steps()
            if not steps:
                return None
            newest = max(steps)
            path = path_of(newest)
            try:
                self._objects.download(steps[newest], path)
            except StageError:
                # another job with the same stage, or a pod on a node that was lost, trains on and drops what is older
                if newest in self.steps():
                    raise
            else:
                return path
        raise transient(
            Reason.STORE_UNAVAILABLE, f"checkpoints below {self._prefix} are replaced faster than they are read."
        )

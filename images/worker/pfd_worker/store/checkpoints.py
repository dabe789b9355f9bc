"""Where a stage keeps what it has done so far, and how that is removed when it is done."""

from __future__ import annotations

from pfd_worker.store.manifests import stage_folder
from pfd_worker.store.objects import ObjectStore


def checkpoints_folder(work_digest: str) -> str:
    """Return the key prefix of all checkpoints of a stage, of its `StageContext.work_digest`."""
    return f"{stage_folder(work_digest)}checkpoints/"


def clear_checkpoints(store: ObjectStore, work_digest: str) -> None:
    """Remove the checkpoints of a stage that has its manifest: nobody will go on from them."""
    for key in store.list(checkpoints_folder(work_digest)):
        store.delete(key)

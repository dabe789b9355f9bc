"""Where the pre-trained model comes from: the store, or deepmd-kit's own catalogue, fetched once into the store."""

from __future__ import annotations

import subprocess
from pathlib import Path

from pfd_operator.contract.result import ExitCode, Reason
from pfd_operator.contract.settings import ModelSource
from pfd_worker.errors import StageError
from pfd_worker.stage_context import StageContext


def fetch_model(context: StageContext, source: ModelSource, where: str) -> Path:
    """Return the checkpoint as a local file; `where` is the field of the spec that names it, for messages.

    Raises
    ------
    StageError
        ModelNotFound, if neither store nor catalogue has it.
    """
    if source.uri is not None:
        return context.fetch_uri(source.uri)
    name = str(source.pretrained)
    path = context.workdir / f"{name}.pt"
    key = f"models/{name}.pt"
    if context.store.exists(key):
        context.store.download(key, path)
        return path
    _download(name, path, context.workdir / "catalogue", where)
    context.store.upload(path, key)
    return path


def _download(name: str, path: Path, cache: Path, where: str) -> None:
    from deepmd.pretrained.registry import available_model_names

    known = available_model_names()
    if name not in known:
        raise StageError(
            ExitCode.USER_ERROR,
            Reason.MODEL_NOT_FOUND,
            f"{where}.pretrained: deepmd-kit knows no model {name!r}. It knows: {', '.join(known)}.",
        )
    child = subprocess.run(
        ["dp", "pretrained", "download", name, "--cache-dir", str(cache)], capture_output=True, text=True, check=False
    )
    found = sorted(cache.rglob("*.pt"))
    if child.returncode != 0 or not found:
        raise StageError(
            ExitCode.TRANSIENT,
            Reason.MODEL_NOT_FOUND,
            f"{where}.pretrained: {name} could not be downloaded: {child.stderr.strip()[-500:]}. "
            f"If this cluster has no way out, put the file into the object store and name it by {where}.uri.",
        )
    found[0].rename(path)

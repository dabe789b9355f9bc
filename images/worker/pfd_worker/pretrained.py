"""Where the pre-trained model comes from: the store, or its program's own catalogue, fetched once into the store."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from pathlib import Path

from pfd_operator.contract.model_source import ModelFamily, ModelSource
from pfd_operator.contract.result import Reason
from pfd_worker.errors import AbsentError, transient, user_error
from pfd_worker.stage_context import StageContext

_IF_OF_DEEPMD = (
    "If it is a model of deepmd-kit, give a checkpoint ending in .pt (of a distilled student: model.pt in the same "
    "folder)."
)


class _DownloadError(Exception):
    """A catalogue that knows the model, and does not give it."""


def fetch_model(context: StageContext, source: ModelSource, where: str) -> Path:
    """Return the checkpoint as a local file; `where` is the field of the spec that names it, for messages.

    Raises
    ------
    StageError
        ModelNotFound, if neither store nor catalogue has it, or the image has not the program.
    """
    if source.family is ModelFamily.SEVENNET:
        _require_sevennet(source, where)
    if source.uri is not None:
        return context.fetch_uri(source.uri, f"{where}.uri")
    name = f"{source.pretrained}{source.family.suffix}"
    path = context.workdir / name
    key = f"models/{name}"
    with contextlib.suppress(AbsentError):
        context.store.download(key, path)
        return path
    try:
        if source.family is ModelFamily.SEVENNET:
            _sevennet(str(source.pretrained), path, where)
        else:
            _download(str(source.pretrained), path, context.workdir / "catalogue", where)
    except _DownloadError as error:
        raise transient(
            Reason.MODEL_NOT_FOUND,
            f"{where}.pretrained: {source.pretrained} could not be downloaded: {str(error)[-500:]}. If this cluster "
            f"has no way out, put the file there by hand as {context.store.uri(key)}: it is found when this is tried "
            "again, or by spec.restart with a new id.",
        ) from error
    context.store.upload(path, key)
    return path


def _require_sevennet(source: ModelSource, where: str) -> None:
    try:
        import sevenn  # noqa: F401
    except ModuleNotFoundError as error:
        raise user_error(
            Reason.MODEL_NOT_FOUND,
            f"{where} is SevenNet's, which this worker image does not hold. Whoever runs the operator can set "
            "images.calculators of the chart to one that does (target sevennet of images/worker)."
            # frozen models of deepmd-kit end in .pth, too
            + (f" {_IF_OF_DEEPMD}" if source.uri is not None else ""),
        ) from error


def _sevennet(name: str, path: Path, where: str) -> None:
    from sevenn.util import pretrained_name_to_path

    try:
        shutil.copyfile(pretrained_name_to_path(name), path)
    except ValueError as error:
        raise user_error(
            Reason.MODEL_NOT_FOUND,
            f"{where}.pretrained: SevenNet knows no model {name!r}. Its wheel brings 7net-0 and 7net-l3i5.",
        ) from error
    except OSError as error:
        raise _DownloadError(str(error)) from error


def _download(name: str, path: Path, cache: Path, where: str) -> None:
    from deepmd.pretrained.registry import available_model_names

    known = available_model_names()
    if name not in known:
        raise user_error(
            Reason.MODEL_NOT_FOUND,
            f"{where}.pretrained: deepmd-kit knows no model {name!r}. It knows: {', '.join(known)}.",
        )
    child = subprocess.run(
        ["dp", "pretrained", "download", name, "--cache-dir", str(cache)], capture_output=True, text=True, check=False
    )
    found = sorted(cache.rglob("*.pt"))
    if child.returncode != 0 or not found:
        raise _DownloadError(child.stderr.strip())
    found[0].rename(path)

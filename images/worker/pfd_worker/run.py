"""Run one attempt at a stage: look for its manifest, compute, store, commit, say how it ended."""

from __future__ import annotations

import importlib
import logging
import os
import time
import traceback
import uuid
from collections.abc import Callable
from pathlib import Path

from pfd_operator.contract.result import ExitCode, Reason, StageResult
from pfd_operator.contract.s3_keys import without_keys
from pfd_operator.contract.stage import GPUS_VARIABLE, ExploreParams, Input, LabelParams, PrepareParams, StageKind
from pfd_worker import stage_files
from pfd_worker.errors import StageError, out_of_memory, transient
from pfd_worker.machine import check_gpu
from pfd_worker.out_of_memory import is_out_of_memory, says_gpu_out_of_memory
from pfd_worker.stage_context import StageContext, StageOutput
from pfd_worker.store.ledger import BookEntry, Ledger
from pfd_worker.store.manifests import (
    Manifest,
    commit_manifest,
    manifest_key,
    read_manifest,
    stage_folder,
    store_file,
)
from pfd_worker.summaries import LabelSummary
from pfd_worker.versions import package_versions

TERMINATION_LOG = "/dev/termination-log"
_log = logging.getLogger(__name__)


def run_stage(context: StageContext, compute: Callable[[StageContext], StageOutput] | None = None) -> StageResult:
    """Return the stage's result: the committed one if there is one, otherwise computed and committed now.

    Parameters
    ----------
    context
        Of the stage.
    compute
        What makes its files; None: the stage's module.

    Raises
    ------
    StageError
        If it cannot be computed.
    """
    started = time.monotonic()
    manifest = read_manifest(context.store, context.digest, context.index)
    reused = manifest is not None
    if manifest is None:
        gpus = int(os.environ.get(GPUS_VARIABLE, "0"))
        if gpus and not _is_by_calculator(context):
            check_gpu(context.spec.stage, gpus)
        compute = compute or importlib.import_module(f"pfd_worker.stages.{context.spec.stage.value}").run
        output = compute(context)
        if not context.team.leads:
            return StageResult(ok=True)
        manifest = commit(context, output, time.monotonic() - started)
    return _described(context, manifest, reused, time.monotonic() - started)


def _is_by_calculator(context: StageContext) -> bool:
    """Tell whether an ASE calculator computes alone: it may use a GPU without torch."""
    params = context.spec.params
    if isinstance(params, PrepareParams):
        return params.calculator is not None
    if isinstance(params, LabelParams) and params.engine is not None:
        return params.engine.ase is not None
    is_teachers = isinstance(params, ExploreParams | LabelParams)
    return is_teachers and stage_files.CALCULATOR in context.one(Input.PREPARE).files


def commit(context: StageContext, output: StageOutput, seconds: float) -> Manifest:
    """Store a stage's files under this attempt's own prefix, then its manifest; if another attempt was first, its.

    Raises
    ------
    StageError
        If neither is in the store then.
    """
    digest = output.digest or context.digest
    folder = stage_folder(digest, context.index)
    # pods of one attempt may overlap (a lost node), so each has a prefix of its own
    attempt = f"{context.spec.job.uid}-a{context.spec.attempt}-{uuid.uuid4().hex[:8]}"
    files = {
        name: store_file(context.store, path, f"{folder}attempts/{attempt}/{name}")
        for name, path in output.files.items()
    }
    model = files[output.model] if output.model is not None else None
    manifest = Manifest(
        digest=digest,
        stage=context.spec.stage.value,
        index=context.index,
        files=files,
        summary=output.summary,
        result=StageResult(
            ok=True,
            digest=digest,
            asked=context.spec.digest if digest != context.spec.digest else None,
            outcome=output.outcome,
            cautions=[each for each in output.cautions if each is not None],
            model_uri=context.store.uri(model.key) if model else None,
            seconds=round(seconds, 3),
        ),
        packages=package_versions(),
    )
    counts = commit_manifest(context.store, manifest)
    if counts is None:
        place = context.store.uri(manifest_key(digest, context.index))
        raise transient(
            Reason.STORE_UNSUITABLE,
            f"{place}: the store refused this manifest because one is there, and has none when it is asked for it, so "
            "nothing is committed",
        )
    return counts


def _described(context: StageContext, manifest: Manifest, reused: bool, seconds: float) -> StageResult:
    """Return a manifest's result as this job sees it: with the job's own label counts."""
    ledger = Ledger(context.store, context.spec.job.uid)
    if context.spec.stage is StageKind.LABEL:
        # of another job's stage with the same inputs the labels are this job's, too, and cost it nothing
        ledger.enter_all(BookEntry(**entry) for entry in manifest.told(LabelSummary)["labels"])
    counted = context.spec.stage in (StageKind.SELECT, StageKind.LABEL, StageKind.TRAIN)
    labels = ledger.count() if counted else None
    return manifest.result.model_copy(update={"reused": reused, "labels": labels, "seconds": round(seconds, 3)})


def failure_of(error: BaseException) -> tuple[ExitCode, StageResult]:
    """Put whatever ended a stage into the contract's words, without the keys to the store."""
    code, result = _in_words(error)
    return code, result.model_copy(update={"message": without_keys(result.message, os.environ)})


def _in_words(error: BaseException) -> tuple[ExitCode, StageResult]:
    if isinstance(error, StageError):
        return error.exit_code, error.result()
    if is_out_of_memory(error):
        of_gpu = says_gpu_out_of_memory(f"{type(error).__module__}.{type(error).__name__}: {error}")
        whose, remedy = (
            ("the GPU is out of memory", "Give this stage's pods a GPU, or a slice of one, with more memory")
            if of_gpu
            else ("out of memory", "Raise the memory limit of this stage's pods")
        )
        return _in_words(out_of_memory(f"{whose}: {error}. {remedy}, or use smaller frames.", of_gpu))
    last = traceback.extract_tb(error.__traceback__)[-1:]
    where = f" ({Path(last[0].filename).name}:{last[0].lineno})" if last else ""
    message = f"{type(error).__name__}: {error}{where}"
    return ExitCode.TRANSIENT, StageResult(ok=False, reason=Reason.INTERNAL_ERROR, message=message)


def tell(result: StageResult) -> None:
    """Write the result where Kubernetes picks it up, and on stdout for a shell."""
    message = result.to_termination_message()
    path = Path(os.environ.get("PFD_TERMINATION_LOG", TERMINATION_LOG))
    try:
        path.write_text(message)
    except OSError as error:  # outside a pod there is none, and stdout is enough
        _log.debug("%s: %s", path, error)
    print(message, flush=True)

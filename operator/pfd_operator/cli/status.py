"""`kubectl pfd status`: one job, as a page of text."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from typing import TextIO

from pfd_operator.api.conditions import ConditionType, OperatorReason, Phase
from pfd_operator.api.status import (
    ActiveStage,
    ActiveState,
    Condition,
    DistillJobStatus,
    Errors,
    FineTuneJobStatus,
    JobStatus,
    ModelRecord,
)
from pfd_operator.kube.api import ApiError, KubeApi
from pfd_operator.kube.resources import Key
from pfd_operator.plan.budget import elapsed_seconds
from pfd_operator.plan.conditions import find_condition, find_true

from .reading import REFERENCE, errors_against, read_job, status_of
from .tables import duration, printable, table

POLL_SECONDS = 2.0
FINAL = (401, 403, 404)
"""Answers that another request does not change."""
CLEAR_SCREEN = "\x1b[H\x1b[2J"


async def show_status(
    api: KubeApi, namespace: str, name: str, out: TextIO, *, watch: bool = False, poll_seconds: float = POLL_SECONDS
) -> None:
    """Print a job's status once, or again and again until it ends.

    Raises
    ------
    CannotShow
        If there is no such job, it is one of a newer version, or the cluster does not know jobs.
    ApiError
        If the API server refuses; once a page is shown, only if it does so finally.
    """
    began, shown = api.now(), ""
    replaces_last = watch and out.isatty()
    while True:
        try:
            snapshot = await read_job(api, namespace, name)
        except ApiError as error:
            if not shown or error.status in FINAL:
                raise
            # a job takes days, in which a laptop sleeps and an API server is upgraded
            sys.stderr.write(f"kubectl pfd: {printable(error.message or str(error))}; asking again\n")
            await asyncio.sleep(poll_seconds)
            continue
        status, now = status_of(snapshot), api.now()
        # in a file only news are worth a page, and that time passes is none
        news = status_page(snapshot.key, status, now if replaces_last else began)
        if news != shown:
            out.write((CLEAR_SCREEN if replaces_last else "") + status_page(snapshot.key, status, now))
            out.flush()
            shown = news
        if not watch or status.phase.terminal:
            return
        await asyncio.sleep(poll_seconds)


def status_page(key: Key, status: JobStatus, now: datetime) -> str:
    """Return the page: where the job stands, errors by iteration, and time by stage."""
    parts = [
        _head(key, status, now),
        _errors(status),
        _errors_of_teacher_and_student(status),
        _acceptance(status),
        _stages(status, now),
        _conditions(status.conditions),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(key: Key, status: JobStatus, now: datetime) -> str:
    labels = status.labels
    lines = [
        f"{key.kind} {key.namespace}/{key.name}: {status.phase.value}",
        f"labels: {labels.paid} of {labels.budget} paid, {labels.reused} reused, {labels.failed} failed, "
        f"{labels.wasted} wasted",
    ]
    if status.started_at is not None:
        lines.append(_time(status, status.started_at, status.finished_at or now))
    if status.gpu_seconds:
        lines.append(f"GPU time: {status.gpu_seconds / 3600:.2f} h")
    if status.estimate is not None:
        lines.append(f"estimate: {status.estimate.message}")
    if status.model is not None:
        lines.append(f"best model: {status.model.uri} ({_origin(status.model)})")
    return "\n".join(map(printable, lines))


def _time(status: JobStatus, start: datetime, end: datetime) -> str:
    """Say how much time the deadline counts, and how much it does not."""
    counted = elapsed_seconds(status, end)
    line, rest = f"time: {duration(counted)}", (end - start).total_seconds() - counted
    return f"{line}, not counted (suspended, queued or ended): {duration(rest)}" if round(rest) > 0 else line


def _origin(model: ModelRecord) -> str:
    return f"iteration {model.iteration}" if model.fine_tuned else "pre-trained, energy shifted; no training beat it"


def _errors(status: JobStatus) -> str:
    baselines = status.baselines if isinstance(status, FineTuneJobStatus) else {}
    rows = [_error_row(f"{name} (baseline)", "", errors) for name, errors in baselines.items()]
    if isinstance(status, FineTuneJobStatus) and status.label_noise is not None:
        rows.append(_error_row("labels (noise)", "", status.label_noise))
    for record in status.iterations:
        number = f"iteration {record.iteration}"
        if record.prequential is not None:
            rows.append(_error_row(f"{number}, new labels", str(record.labels), record.prequential))
        if record.holdout is not None:
            verdict = "met" if record.met else "not met"
            rows.append(_error_row(f"{number}, hold-out", str(record.labels), record.holdout, verdict))
    return _error_table(errors_against(status), rows)


def _errors_of_teacher_and_student(status: JobStatus) -> str:
    dft = status.dft if isinstance(status, DistillJobStatus) else {}
    return _error_table(REFERENCE, [_error_row(name, "", errors) for name, errors in dft.items()])


def _error_table(against: str, rows: list[list[str]]) -> str:
    if not rows:
        return ""
    figures = ("FORCE eV/Å", "INTERVAL", "ENERGY eV/ATOM", "VIRIAL eV/ATOM", "FRAMES")
    return table((f"ERRORS AGAINST {against.upper()}", "LABELS", *figures, "LIMITS"), rows)


def _acceptance(status: JobStatus) -> str:
    if not isinstance(status, DistillJobStatus) or not status.acceptance:
        return ""
    rows = [[check.name, "met" if check.met else "not met", check.message] for check in status.acceptance]
    return table(("ACCEPTANCE", "LIMIT", "MEASURED"), rows)


def _error_row(name: str, labels: str, errors: Errors, verdict: str = "") -> list[str]:
    return [
        name,
        labels,
        errors.force_rmse,
        errors.force_rmse_interval,
        errors.energy_rmse_per_atom or "not known",
        errors.virial_rmse_per_atom or "",
        str(errors.frames),
        verdict,
    ]


def _stages(status: JobStatus, now: datetime) -> str:
    rows = [
        [
            str(record.iteration),
            record.stage.value,
            "reused" if record.reused else "done",
            duration(record.seconds),
            str(record.attempts),
            "",
        ]
        for record in status.stages
    ]
    if status.active is not None:
        rows.append(_active_row(status, status.active, now))
    return table(("ITERATION", "STAGE", "STATE", "TIME", "ATTEMPTS", "PROGRESS"), rows) if rows else ""


def _active_row(status: JobStatus, active: ActiveStage, now: datetime) -> list[str]:
    progress = f"{active.percent} %" if active.percent is not None else ""
    if active.completions is not None:
        progress = f"{active.succeeded_indexes}/{active.completions} pods {progress}".strip()
    return [
        str(active.iteration),
        active.stage.value,
        _state(status, active),
        duration(((status.finished_at or now) - active.intended_at).total_seconds()),
        # as in the rows of finished stages: since the last restart, and however they ended
        str(active.attempt - status.first_attempt + 1),
        f"{progress} {active.message}".strip(),
    ]


def _state(status: JobStatus, active: ActiveStage) -> str:
    """Return what the running stage does now; that its pods once started does not say so."""
    if status.phase is Phase.SUSPENDED:
        return "suspended"
    if status.phase.terminal:
        return "cancelled" if status.phase is Phase.CANCELLED else "stopped"
    if active.state is ActiveState.BACKOFF:
        return f"waiting until {active.not_before.astimezone(UTC):%H:%M:%S} UTC" if active.not_before else "waiting"
    progressing = find_condition(status, ConditionType.PROGRESSING)
    if progressing is not None and progressing.reason == OperatorReason.QUEUED:
        return "queued"
    runs = active.started_at is not None and find_true(status, ConditionType.STUCK) is None
    return "running" if runs else "pending"


def _conditions(conditions: list[Condition]) -> str:
    rows = [[item.type, item.status, item.reason, item.message] for item in conditions]
    return table(("CONDITION", "STATUS", "REASON", "MESSAGE"), rows) if rows else ""

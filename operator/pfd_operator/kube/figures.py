"""What metrics count of one job: short enough to be kept ready of thousands."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from sys import intern
from typing import Any, NamedTuple

from pfd_operator.api.conditions import Phase

from .resources import Snapshot


class LabelNumbers(NamedTuple):
    """A job's labels by how they came about."""

    paid: int
    reused: int
    failed: int
    wasted: int


class ConditionFigure(NamedTuple):
    """One condition without its message."""

    type: str
    status: str
    reason: str
    since: float
    """In s since 1970."""


class JobFigures(NamedTuple):
    """The numbers in a job's status."""

    kind: str
    namespace: str
    phase: str
    stage: str
    """The one that runs; empty if none does."""
    labels: LabelNumbers
    label_budget: int
    gpu_seconds: float
    failed_at: float | None
    """In s since 1970; None if it has not failed."""
    conditions: tuple[ConditionFigure, ...]


def figures_of(snapshot: Snapshot) -> JobFigures:
    """Return what metrics count of a job."""
    status = snapshot.raw_status
    phase = intern(str(status.get("phase", Phase.PENDING.value)))
    counts: Mapping[str, int] = status.get("labels") or {}
    failed = phase == Phase.FAILED and "finishedAt" in status
    return JobFigures(
        kind=snapshot.kind.name,
        namespace=intern(snapshot.key.namespace),
        phase=phase,
        # one that was stopped stays on record, to go on with
        stage=intern((status.get("active") or {}).get("stage", "")) if phase == Phase.RUNNING else "",
        labels=LabelNumbers(*(counts.get(result, 0) for result in LabelNumbers._fields)),
        label_budget=counts.get("budget", 0),
        gpu_seconds=status.get("gpuSeconds", 0),
        failed_at=_moment(status["finishedAt"]) if failed else None,
        conditions=tuple(_figure(condition) for condition in status.get("conditions") or ()),
    )


def _figure(condition: Mapping[str, Any]) -> ConditionFigure:
    kind, status, reason = (intern(condition[name]) for name in ("type", "status", "reason"))
    return ConditionFigure(kind, status, reason, _moment(condition["lastTransitionTime"]))


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()

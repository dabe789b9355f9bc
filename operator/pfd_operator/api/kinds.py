"""The kinds of job there are: one table for the CRDs, the watches and the parsing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from . import distill, finetune
from .distill import DistillJobSpec
from .finetune import FineTuneJobSpec
from .job import JobSpec
from .status import DistillJobStatus, FineTuneJobStatus, JobStatus

Column = tuple[str, str, str, int]
"""Name, type, JSON path and priority of a printer column; those of priority 1 show with `-o wide`."""


@dataclass(frozen=True)
class Kind:
    """One kind of job."""

    name: str
    short: str
    spec: type[JobSpec]
    status: type[JobStatus]
    rules: Sequence[dict[str, Any]]
    """CEL rules over the whole spec."""
    columns: Sequence[Column]

    @property
    def plural(self) -> str:
        """Name in API paths."""
        return f"{self.name.lower()}s"


_PLACE: tuple[Column, ...] = (
    ("Phase", "string", ".status.phase", 0),
    ("Iteration", "integer", ".status.iteration", 0),
    ("Stage", "string", ".status.stage", 0),
    ("Progress", "string", ".status.progress", 0),
    ("Labels", "string", ".status.labels.shown", 0),
    ("Force-RMSE", "string", ".status.model.errors.forceRMSE", 0),
)
_DETAILS: tuple[Column, ...] = (
    ("Energy-RMSE", "string", ".status.model.errors.energyRMSEPerAtom", 1),
    ("Frames-Needed", "integer", ".status.estimate.trainingFrames", 1),
    ("Model", "string", ".status.model.uri", 1),
    ("Reason", "string", '.status.conditions[?(@.type=="Progressing")].reason', 1),
    ("Age", "date", ".metadata.creationTimestamp", 0),
)
FINE_TUNE_JOB = Kind("FineTuneJob", "ftj", FineTuneJobSpec, FineTuneJobStatus, finetune.RULES, (*_PLACE, *_DETAILS))
DISTILL_JOB = Kind(
    "DistillJob",
    "dsj",
    DistillJobSpec,
    DistillJobStatus,
    distill.RULES,
    (*_PLACE, ("Speed-up", "string", ".status.speedup", 0), *_DETAILS),
)
KINDS = {kind.name: kind for kind in (FINE_TUNE_JOB, DISTILL_JOB)}

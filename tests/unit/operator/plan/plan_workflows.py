"""Jobs to be played: what their stages answer, and the order in which they must come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pfd_operator.api.status import DistillJobStatus, FineTuneJobStatus, JobStatus
from pfd_operator.contract.result import StageResult
from pfd_operator.contract.stage import StageKind
from pfd_operator.plan.observed import ObservedTeacher
from pfd_operator.plan.types import Resource
from tests.unit.operator.plan.plan_answers import good_result
from tests.unit.operator.plan.plan_samples import TEACHER, distill_resource, resource

ORDER = (StageKind.EXPLORE, StageKind.SELECT, StageKind.LABEL, StageKind.TRAIN)


@dataclass(frozen=True)
class Workflow:
    """A job, what its stages answer, and the order in which they must come."""

    resource: Resource
    status: type[JobStatus]
    answer: Callable[..., StageResult]
    order: tuple[tuple[int, StageKind], ...]
    teacher: ObservedTeacher | None = None


FINE_TUNING = Workflow(
    resource(),
    FineTuneJobStatus,
    good_result,
    ((0, StageKind.PREPARE), *((iteration, stage) for iteration in range(3) for stage in ORDER)),
)
DISTILLING = Workflow(
    distill_resource(),
    DistillJobStatus,
    good_result,
    (
        (0, StageKind.PREPARE),
        *((0, stage) for stage in ORDER[:3]),
        *((iteration, stage) for iteration in (1, 2) for stage in ORDER),
        (2, StageKind.ACCEPT),
    ),
    TEACHER,
)

"""Conditions with the times of their transitions."""

from __future__ import annotations

from datetime import datetime

from pfd_operator.api.conditions import ConditionType, OperatorReason
from pfd_operator.api.status import Condition, JobStatus
from pfd_operator.contract.result import Reason
from pfd_operator.contract.text import shortened

PATIENT = frozenset[str](
    {OperatorReason.JOB_REFUSED, OperatorReason.UNSCHEDULABLE, OperatorReason.POD_PENDING, Reason.STORE_UNAVAILABLE}
)
"""Reasons of Stuck that may pass by themselves: there is room when others have ended."""
ROOM = frozenset[str]({OperatorReason.UNSCHEDULABLE, OperatorReason.POD_PENDING})
"""Those for which a Job may wait until its deadline, and the next one waits on."""


def find_condition(status: JobStatus, kind: ConditionType) -> Condition | None:
    """Return a condition, if it was ever set."""
    return next((condition for condition in status.conditions if condition.type == kind), None)


def find_true(status: JobStatus, kind: ConditionType) -> Condition | None:
    """Return a condition, if it is True now."""
    condition = find_condition(status, kind)
    return condition if condition is not None and condition.status == "True" else None


def with_condition(
    status: JobStatus,
    kind: ConditionType,
    value: bool,
    reason: str,
    message: str,
    generation: int,
    now: datetime,
) -> JobStatus:
    """Return the status with a condition set; its transition time moves only when its value changes."""
    text = str(value)
    old = find_condition(status, kind)
    new = Condition(
        type=kind.value,
        status=text,
        reason=str(reason),
        message=shortened(message),
        last_transition_time=old.last_transition_time if old is not None and old.status == text else now,
        observed_generation=generation,
    )
    if old is None:
        return status.model_copy(update={"conditions": [*status.conditions, new]})
    return status.model_copy(update={"conditions": [new if item is old else item for item in status.conditions]})

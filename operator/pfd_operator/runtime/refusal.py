"""The status of a resource whose spec cannot be worked with: what ran is kept, the conditions say what is wrong."""

from __future__ import annotations

from datetime import datetime

from pfd_operator.api.conditions import ConditionType, OperatorReason
from pfd_operator.api.status import Condition, JobStatus


def refused_status(status: JobStatus, message: str, generation: int, now: datetime) -> JobStatus:
    """Return the status with Ready and Progressing false because of SpecInvalid; equal if it says so already.

    The conditions of a job that is over say what it came to, which a spec written since does not change.
    """
    if status.phase.terminal:
        return status.model_copy(update={"observed_generation": generation})
    conditions = {condition.type: condition for condition in status.conditions}
    for kind in (ConditionType.READY, ConditionType.PROGRESSING):
        old = conditions.get(kind.value)
        new = Condition(
            type=kind.value,
            status="False",
            reason=OperatorReason.SPEC_INVALID.value,
            message=message[:1024],
            last_transition_time=old.last_transition_time if old and old.status == "False" else now,
            observed_generation=generation,
        )
        conditions[kind.value] = new
    return status.model_copy(update={"conditions": list(conditions.values()), "observed_generation": generation})

"""The status of a resource whose spec cannot be worked with: what ran is kept, the conditions say what is wrong."""

from __future__ import annotations

from datetime import datetime

from pfd_operator.api.conditions import ConditionType, OperatorReason
from pfd_operator.api.status import ActiveState, JobStatus

from .conditions import with_condition


def how_to_stop(status: JobStatus, message: str) -> str:
    """Return why a spec is refused and, where a Job may run, how to stop it: the spec cannot ask for that now."""
    active = status.active
    if status.phase.terminal or active is None or active.state is ActiveState.BACKOFF:
        return message
    return (
        f"{message}. Until it is corrected, spec.suspend and spec.stop are not read: if Job {active.job_name} runs, it "
        f"goes on within the deadline that it has, and `kubectl delete job {active.job_name}` stops it"
    )


def invalid_status(status: JobStatus, message: str, generation: int, now: datetime) -> JobStatus:
    """Return the status with Ready and Progressing false because of SpecInvalid; equal if it says so already.

    The conditions of a job that is over say what it came to, which a spec written since does not change.
    """
    if status.phase.terminal:
        return status.model_copy(update={"observed_generation": generation})
    for kind in (ConditionType.READY, ConditionType.PROGRESSING):
        status = with_condition(status, kind, False, OperatorReason.SPEC_INVALID, message, generation, now)
    return status.model_copy(update={"observed_generation": generation})

"""The condition Progressing: what runs, or why nothing does."""

from __future__ import annotations

from pfd_operator.api.conditions import ConditionType, OperatorReason, Phase
from pfd_operator.api.status import ActiveState

from .conditions import find_condition, find_true
from .draft import Draft
from .recipe import position_of

QUEUED = "queued"
"""As progress of a stage whose Job waits to be admitted."""


def show_progressing(draft: Draft) -> None:
    """Say what runs, or why nothing does."""
    if draft.status.phase is Phase.RUNNING:
        _show_running(draft)
    elif draft.status.phase is Phase.SUSPENDED:
        message = "suspended (spec.suspend)"
        draft.set(stage="", progress="")
        draft.condition(ConditionType.PROGRESSING, False, OperatorReason.SUSPENDED, message)
        draft.show_nothing_stuck()


def _show_running(draft: Draft) -> None:
    active = draft.active
    ready = find_condition(draft.status, ConditionType.READY)
    if ready is not None and ready.reason == OperatorReason.SPEC_INVALID:
        # the spec was refused while the job ran, and was corrected
        draft.condition(ConditionType.READY, False, OperatorReason.NOT_CONVERGED, "the spec was corrected")
    stuck = find_true(draft.status, ConditionType.STUCK)
    if stuck is not None:
        draft.condition(ConditionType.PROGRESSING, False, stuck.reason, stuck.message)
    elif active is None or (draft.held_by_spec and active.state is not ActiveState.CREATED):
        draft.condition(
            ConditionType.PROGRESSING, False, OperatorReason.SPEC_CHANGED, "no new stage starts: the spec was changed"
        )
    elif (job := draft.active_job) is not None and job.suspended:
        queue = draft.spec.queue
        where = f"queue {queue.name} (spec.queue)" if queue is not None else "Job.spec.suspend to be lifted"
        draft.set(progress=QUEUED)
        draft.condition(
            ConditionType.PROGRESSING, False, OperatorReason.QUEUED, f"{position_of(active)} waits for {where}"
        )
    else:
        if draft.status.progress == QUEUED:
            draft.set(progress="")
        message = f"{position_of(active)}, attempt {active.attempt}"
        draft.condition(ConditionType.PROGRESSING, True, OperatorReason.STAGE_RUNNING, message)

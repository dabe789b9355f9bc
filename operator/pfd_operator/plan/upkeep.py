"""What every decision keeps in order: a changed spec, pods that cannot start, conditions that say so."""

from __future__ import annotations

import math

from pfd_operator.api.conditions import ConditionType, OperatorReason, Phase
from pfd_operator.api.status import ActiveStage, ActiveState

from .attempts import halt
from .conditions import find_condition, find_true
from .draft import Draft
from .recipe import AnyRecipe, position_of
from .stuck import PATIENT, podless_in, slow_in, stuck_pods

QUEUED = "queued"
"""As progress of a stage whose Job waits to be admitted."""


def note_spec_change(draft: Draft, recipe: AnyRecipe) -> None:
    """Say whether a frozen part of the spec was changed."""
    if draft.status.spec_digest is None:
        return
    same = not draft.spec_differs
    if same:
        # also where nobody changed it: another operator, with other defaults, has another digest for it
        draft.freeze_spec()
    if draft.status.phase.terminal or draft.restart_pending:
        return
    if same:
        if draft.was_held:
            # what ended meanwhile was judged by limits that were never to hold
            draft.status = recipe.judged(draft.spec, draft.status)
        draft.condition(ConditionType.SPEC_CHANGED, False, OperatorReason.SPEC_UNCHANGED, "")
        return
    message = (
        "a part of the spec that is frozen once a job has started was changed: no new stage starts until it is "
        "restored; for other settings create another job, which finds the labels and stages they share"
    )
    if draft.spec.restart is not None:
        message += (
            ". What was changed with a restart that was refused (Event RestartRefused) is restored together with a new "
            "spec.restart.id, or holds from an iteration on that the Event names, with a new id"
        )
    if not draft.was_held:
        draft.tell(OperatorReason.SPEC_CHANGED, message, warning=True)
    draft.condition(ConditionType.SPEC_CHANGED, True, OperatorReason.SPEC_CHANGED, message)


def watch_stuck(draft: Draft) -> None:
    """Show at once why a pod cannot start; after a while it is a failure, unless it may pass by itself."""
    active, job = draft.active, draft.active_job
    if draft.status.phase is not Phase.RUNNING or active is None:
        return
    if active.state is ActiveState.INTENDED:
        _show_refusal(draft, active)
    elif active.state is ActiveState.BACKOFF:
        # what was stuck is gone with its attempt
        draft.condition(ConditionType.STUCK, False, OperatorReason.NOT_STUCK, "")
    if active.state is not ActiveState.CREATED or job is None:
        return
    since = job.released_at or job.created_at or active.intended_at
    stuck = stuck_pods(job, since, draft.now)
    if stuck is None:
        draft.condition(ConditionType.STUCK, False, OperatorReason.NOT_STUCK, "")
        draft.wake(podless_in(job, since, draft.now))
        draft.wake(min((slow_in(pod, draft.now) for pod in job.pods), default=math.inf))
        return
    old = find_condition(draft.status, ConditionType.STUCK)
    was_stuck = old is not None and old.status == "True" and old.reason == stuck.reason
    if old is not None and not was_stuck and (old.reason in PATIENT or stuck.reason in PATIENT):
        # it waits for this from now on, not since it first waited for something else
        draft.condition(ConditionType.STUCK, False, OperatorReason.NOT_STUCK, "")
    message = old.message if old is not None and was_stuck and stuck.steady else stuck.message
    if not was_stuck:
        draft.tell(stuck.reason, message, warning=True)
    condition = draft.condition(ConditionType.STUCK, True, stuck.reason, message)
    settings = draft.settings
    patience = settings.pending_after_seconds if stuck.reason in PATIENT else settings.stuck_after_seconds
    if patience == 0:
        return
    left = patience - (draft.now - condition.last_transition_time).total_seconds()
    draft.wake(left)
    if left > 0:
        return
    halt(draft)
    draft.set(active=None)
    words = f"{position_of(active)} could not start for {patience} s: {message}"
    draft.end(Phase.FAILED, stuck.reason, words)


def _show_refusal(draft: Draft, active: ActiveStage) -> None:
    refusal = draft.observed.refusal
    if refusal:
        # no failure after a while: a quota has room again when others have ended
        words = f"{position_of(active)} cannot start, and is tried again: {refusal}"
        draft.condition(ConditionType.STUCK, True, OperatorReason.JOB_REFUSED, words)
    else:
        draft.condition(ConditionType.STUCK, False, OperatorReason.NOT_STUCK, "")


def show_progressing(draft: Draft) -> None:
    """Say what runs, or why nothing does."""
    if draft.status.phase is Phase.RUNNING:
        _show_running(draft)
    elif draft.status.phase is Phase.SUSPENDED:
        message = "suspended (spec.suspend)"
        draft.set(stage="", progress="")
        draft.condition(ConditionType.PROGRESSING, False, OperatorReason.SUSPENDED, message)
        draft.condition(ConditionType.STUCK, False, OperatorReason.NOT_STUCK, "")


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

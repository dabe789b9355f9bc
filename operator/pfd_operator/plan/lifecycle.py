"""Start, stop, suspend, resume, reopen: what the user asks for, within the time that may be spent."""

from __future__ import annotations

from collections.abc import Sequence

from pfd_operator.api.conditions import ConditionType, OperatorReason, Phase
from pfd_operator.api.job import Stop
from pfd_operator.contract.text import shortened

from .attempts import halt, running_gpu_seconds
from .budget import (
    deadline_left,
    gpu_seconds_left,
    gpus_of,
    time_exhausted,
)
from .conditions import find_condition
from .draft import Draft
from .labelling import ending_at
from .recipe import Ending, Hindrance, position_of
from .retry import too_little_left
from .teacher import taken_over


def begin(draft: Draft) -> None:
    """Start a job that never ran, if its spec can be worked with; also one that failed because it could not be."""
    phase = draft.status.phase
    if draft.status.started_at is not None or (phase.terminal and phase is not Phase.FAILED):
        return
    hindrance = draft.recipe.hindrance(draft.spec, draft.observed, draft.settings)
    if hindrance is None or not hindrance.final:
        draft.set(finished_at=None)
    if hindrance is not None:
        _wait(draft, hindrance)
    elif draft.spec.stop is not None:
        draft.end(
            Phase.CANCELLED, OperatorReason.CANCELLED, "stopped before it started (spec.stop); remove it to start"
        )
    elif draft.spec.suspend:
        draft.set(phase=Phase.SUSPENDED)
    else:
        draft.status = draft.recipe.started(draft.status, draft.observed)
        draft.set(
            phase=Phase.RUNNING,
            started_at=draft.now,
            # a job that starts has nothing to go back to
            restart_id=draft.spec.restart.id if draft.spec.restart is not None else "",
        )
        draft.freeze_spec()
        draft.condition(ConditionType.READY, False, OperatorReason.NOT_CONVERGED, "no model has been trained yet")
        draft.tell(OperatorReason.STARTED, "the job starts" + taken_over(draft.observed.teacher))


def _wait(draft: Draft, hindrance: Hindrance) -> None:
    """Say why a job does not start; end it if it never can."""
    old = find_condition(draft.status, ConditionType.READY)
    said = old is not None and old.message == shortened(hindrance.message)
    if hindrance.final:
        if not (said and draft.status.phase is Phase.FAILED):
            draft.end(Phase.FAILED, hindrance.reason, hindrance.message)
        return
    if not said:
        draft.tell(hindrance.reason, hindrance.message, warning=hindrance.reason is OperatorReason.SPEC_INVALID)
    draft.set(phase=Phase.PENDING)
    for kind in (ConditionType.READY, ConditionType.PROGRESSING):
        draft.condition(kind, False, hindrance.reason, hindrance.message)


def reopen(draft: Draft) -> None:
    """Go on with a job that had ended, if what ended it was taken away."""
    status = draft.status
    if status.phase not in (Phase.CANCELLED, Phase.MAX_ITERATIONS, Phase.BUDGET_EXHAUSTED):
        return
    started = status.started_at is not None
    reopened = status.model_copy(
        update={
            # never started: it begins anew, and its time has not begun
            "phase": Phase.RUNNING if started else Phase.PENDING,
            "finished_at": None,
            "suspended_seconds": status.suspended_seconds + draft.ended_seconds if started else 0,
        }
    )
    attempted = status.active is not None
    position = position_of(status.active) if status.active is not None else draft.recipe.next(draft.spec, status)
    ending = ending_at(draft, reopened, position, attempted)
    if status.phase is Phase.CANCELLED:
        still = draft.spec.stop is Stop.NOW or (draft.spec.stop is not None and not attempted)
    else:
        # it may have ended with seconds left (`retry`), which are too few to go on by themselves
        few = too_little_left(draft, reopened, position) if _time_ended_it(draft) else None
        ends = [end for end in (ending, time_exhausted(draft.spec, reopened, draft.now), few) if end is not None]
        _say_what_ends_it_now(draft, ends)
        still = bool(ends)
    if still:
        return
    draft.status = reopened
    draft.condition(ConditionType.READY, False, OperatorReason.NOT_CONVERGED, "the job was reopened")
    if ending is None:
        draft.tell(OperatorReason.RESUMED, f"goes on with {position}")


def _say_what_ends_it_now(draft: Draft, ends: Sequence[Ending]) -> None:
    """Name another budget that keeps a job from going on, when that which had ended it was raised."""
    ready = find_condition(draft.status, ConditionType.READY)
    others = [end for end in ends if end.phase in (Phase.MAX_ITERATIONS, Phase.BUDGET_EXHAUSTED)]
    if not others or any(ready is not None and ready.reason == end.reason for end in ends):
        return
    now = others[0]
    draft.set(phase=now.phase)
    for kind in (ConditionType.READY, ConditionType.PROGRESSING):
        draft.condition(kind, False, now.reason, now.message)
    draft.tell(now.reason, now.message)


def _time_ended_it(draft: Draft) -> bool:
    ready = find_condition(draft.status, ConditionType.READY)
    return ready is not None and ready.reason in (OperatorReason.DEADLINE, OperatorReason.GPU_BUDGET)


def leave(draft: Draft) -> None:
    """Stop what is being deleted: for as long as somebody's finalizer holds it, its Jobs are not deleted with it."""
    halt(draft)
    if not draft.status.phase.terminal:
        words = "deleted; it is there until nothing in metadata.finalizers holds it, and its Jobs are stopped"
        draft.end(Phase.CANCELLED, OperatorReason.CANCELLED, words)


def obey(draft: Draft) -> None:
    """Do what the user asks for at once, stop and suspend, and keep within the time that may be spent."""
    status, spec = draft.status, draft.spec
    if status.phase.terminal:
        halt(draft)
        return
    if status.started_at is None:
        return
    if spec.stop is Stop.NOW:
        halt(draft)
        draft.end(Phase.CANCELLED, OperatorReason.CANCELLED, "stopped (spec.stop); remove spec.stop to go on")
    elif spec.suspend:
        halt(draft)
        if status.phase is not Phase.SUSPENDED:
            draft.set(phase=Phase.SUSPENDED, suspended_at=draft.now)
            draft.tell(OperatorReason.SUSPENDED, "suspended (spec.suspend)")
    else:
        if status.phase is Phase.SUSPENDED:
            draft.finish_suspension()
            draft.set(phase=Phase.RUNNING)
            draft.tell(OperatorReason.RESUMED, "resumed")
        _keep_time(draft)


def _keep_time(draft: Draft) -> None:
    if draft.active is None and draft.recipe.succeeded(draft.spec, draft.status):
        # the last stage made it in time: that it ended late does not take the result away
        return
    running = running_gpu_seconds(draft)
    over = time_exhausted(draft.spec, draft.status, draft.now, running)
    if over is not None:
        halt(draft)
        draft.end(over.phase, over.reason, over.message)
        return
    if draft.status.suspended_at is None:
        draft.wake(deadline_left(draft.spec, draft.status, draft.now))
    job = draft.active_job
    if job is not None and draft.spec.budget.gpu_hours is not None:
        gpus = gpus_of(draft.spec, job, draft.settings) * sum(pod.phase == "Running" for pod in job.pods)
        if gpus:
            draft.wake(gpu_seconds_left(draft.spec, draft.status, running) / gpus)

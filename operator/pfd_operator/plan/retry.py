"""What follows from a failed attempt: another one, now or after a wait, or the end."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

from pfd_operator.api.conditions import ConditionType, OperatorReason, Phase
from pfd_operator.api.status import LABELS_LACKING, ActiveStage, ActiveState, JobStatus

from .budget import (
    DEADLINE_TOLERANCE_SECONDS,
    container_seconds,
    deadline_left,
    gpu_seconds,
    gpus_per_pod,
    time_exhausted,
    time_left,
)
from .conditions import PATIENT, find_true
from .draft import Draft
from .failures import Failure, Remedy
from .memory import give_more_memory, more_memory_left
from .observed import ObservedJob
from .queueing import end_queueing
from .recipe import Ending, Position, position_of

BACKOFF_MAX_SECONDS = 300


def fail(draft: Draft, failure: Failure) -> None:
    """End the running attempt as failed and decide what follows from it."""
    active, job = draft.running, draft.active_job
    draft.unseen = draft.unseen or failure.unseen
    close_attempt(draft, job)
    match failure.remedy:
        case Remedy.FAIL if failure.wants_memory and more_memory_left(draft.spec, draft.status, active.stage):
            draft.wait_no_longer()
            give_more_memory(draft, active, failure)
        case Remedy.FAIL:
            give_up(draft, active, failure.reason, failure.message)
        case Remedy.BUDGET if failure.lacks is not None:
            # the end, unless the budget was raised since
            draft.set_active(state=ActiveState.BACKOFF, not_before=None)
            draft.set(counts=draft.status.counts | {LABELS_LACKING: failure.lacks})
        case Remedy.BUDGET:
            _out_of_time(draft, active, failure)
        case Remedy.RETRY_FREE:
            draft.wait_no_longer()
            _retry_free(draft, active, failure)
        case Remedy.RETRY:
            _retry(draft, active, failure)
        case Remedy.OUTAGE if _has_reached_store(draft.status):
            _await_store(draft, active, failure)
        case Remedy.OUTAGE:
            _retry(draft, active, failure)


def _has_reached_store(status: JobStatus) -> bool:
    """Say whether a stage has ended, ever: a restart forgets stages, and not what prepare counted."""
    return bool(status.stages or status.counts)


def failures_with(active: ActiveStage) -> int:
    """Return how many failures count with that of the running attempt: one that came further than all begins anew."""
    return 1 if _how_far(active) > active.furthest else active.counted_failures + 1


def _how_far(active: ActiveStage) -> int:
    # pods of an indexed stage report each its own percent
    return active.percent or 0 if active.completions is None else active.succeeded_indexes


def _retry(draft: Draft, active: ActiveStage, failure: Failure) -> None:
    failures = failures_with(active)
    if failures >= draft.settings.max_counted_failures:
        message = f"{failures} attempts failed; the last one said {failure.reason}: {failure.message}"
        give_up(draft, active, OperatorReason.ATTEMPTS_EXHAUSTED, message)
        return
    wait = _backoff_seconds(draft, failures)
    draft.set_active(
        state=ActiveState.BACKOFF,
        counted_failures=failures,
        # never less: what comes no further ends, however its progress goes up and down
        furthest=max(active.furthest, _how_far(active)),
        not_before=draft.now + timedelta(seconds=wait),
    )
    # an outage is over if something else went wrong
    draft.show_nothing_stuck()
    words = f"{position_of(active)} failed ({failure.reason}) and is tried again in {wait} s: {failure.message}"
    draft.tell(OperatorReason.STAGE_RETRIED, words, warning=True)


def _retry_free(draft: Draft, active: ActiveStage, failure: Failure) -> None:
    """Try again; only an attempt that was soon lost waits: after hours of work one eviction is no loop of them.

    An outage is waited for whatever was done before it: what it ended is lost again if it lasts.
    """
    uncounted = active.attempt - draft.status.first_attempt + 1 - active.counted_failures
    job = draft.active_job
    # by the clock of its node, which may be ahead; one that waited for room for long is no loop either
    started = min(active.started_at or (job and job.released_at) or draft.now, draft.now)
    since = draft.now if failure.remedy is Remedy.OUTAGE else started
    not_before = since + timedelta(seconds=_backoff_seconds(draft, uncounted))
    waits = not_before > draft.now
    draft.set_active(state=ActiveState.BACKOFF, not_before=not_before if waits else None)
    words = f"; it is tried again in {(not_before - draft.now).total_seconds():.0f} s" if waits else ""
    draft.tell(OperatorReason.STAGE_RETRIED, failure.message + words, warning=True)


def _await_store(draft: Draft, active: ActiveStage, failure: Failure) -> None:
    """Try again until the object store answers, and say since when it does not."""
    _retry_free(draft, active, failure)
    stuck = find_true(draft.status, ConditionType.STUCK)
    if stuck is None or stuck.reason != failure.reason:
        draft.show_nothing_stuck()
        since = draft.now
    else:
        since = stuck.last_transition_time
    words = f"{position_of(active)} waits for the object store since {since:%Y-%m-%d %H:%M} UTC, and is tried again: "
    draft.condition(ConditionType.STUCK, True, failure.reason, words + failure.message)


def _backoff_seconds(draft: Draft, ended: int) -> int:
    """Return the wait after so many attempts that ended alike, in s."""
    return min(BACKOFF_MAX_SECONDS, draft.settings.backoff_seconds * (1 << (ended - 1)))


def give_up(draft: Draft, active: ActiveStage, reason: str, message: str) -> None:
    """End the job as failed, in the words of its running stage."""
    draft.set(active=None)
    draft.end(Phase.FAILED, reason, f"{position_of(active)}: {message}")


def too_little_left(draft: Draft, status: JobStatus, position: Position) -> Ending | None:
    """Say which budget leaves the pods of the next attempt too little to be begun; None if none does."""
    if _next_share(draft, status, position) > DEADLINE_TOLERANCE_SECONDS:
        return None
    by_clock = deadline_left(draft.spec, status, draft.now) <= DEADLINE_TOLERANCE_SECONDS
    reason, budget = (OperatorReason.DEADLINE, "deadlineHours") if by_clock else (OperatorReason.GPU_BUDGET, "gpuHours")
    words = f"spec.budget.{budget} leaves too little for another attempt; raise it to go on"
    return Ending(Phase.BUDGET_EXHAUSTED, reason, words)


def _next_share(draft: Draft, status: JobStatus, position: Position) -> float:
    """Return how long each pod of the next attempt may run by the budget, in s; infinite if it bounds none of them."""
    stage = draft.planned(position, status)
    seconds = stage.pod_seconds(draft.spec, status, draft.now)
    return math.inf if seconds is None else seconds


def _out_of_time(draft: Draft, active: ActiveStage, failure: Failure) -> None:
    over = time_exhausted(draft.spec, draft.status, draft.now)
    few = too_little_left(draft, draft.status, position_of(active))
    if over is not None:
        _end_by_budget(draft, over)
    elif few is not None:
        _end_by_budget(draft, replace(few, message=f"{failure.message}, and {few.message}"))
    elif round(container_seconds(draft.running_job, draft.now)) == 0:
        _begin_anew(draft, active, failure)
    elif math.isinf(_next_share(draft, draft.status, position_of(active))):
        _retry_free(draft, active, replace(failure, message=f"{failure.message}, which spec.budget did not set"))
    else:
        # several pods have shares of what was left then, and not all of them took theirs
        left = time_left(draft.spec, draft.status, draft.now)
        words = f"{failure.message}, its share of the budget; {left:.0f} s of the whole are left"
        _retry_free(draft, active, replace(failure, message=words))


def _end_by_budget(draft: Draft, ending: Ending) -> None:
    draft.set_active(state=ActiveState.BACKOFF, not_before=None)
    draft.end(ending.phase, ending.reason, ending.message)


def _begin_anew(draft: Draft, active: ActiveStage, failure: Failure) -> None:
    """Try again what reached its deadline before any container had run, and say what kept its pods from starting."""
    stuck = find_true(draft.status, ConditionType.STUCK)
    message = f"{failure.message} before any container had run"
    if stuck is None:
        _retry(draft, active, replace(failure, reason=OperatorReason.POD_PENDING, message=message))
        return
    failure = replace(failure, reason=stuck.reason, message=f"{message}: {stuck.message}")
    if draft.running_job.deadline_exceeded and stuck.reason in PATIENT:
        # the deadline of a Job, unlike that of a pod, begins while it waits for room
        _retry_free(draft, active, failure)
    else:
        # it cost nothing, so nothing but the number of attempts would ever end this
        _retry(draft, active, failure)


def close_attempt(draft: Draft, job: ObservedJob | None) -> None:
    """Account for what the attempt cost; of a Job that is gone, as far as the status holds it."""
    end_queueing(draft)
    if job is not None:
        cost = round(gpu_seconds(draft.spec, job, draft.settings, draft.now))
    else:
        gpus = gpus_per_pod(draft.spec, draft.running.stage, draft.settings)
        cost = gpus * draft.running.gone_pods_seconds
    draft.set(gpu_seconds=draft.status.gpu_seconds + cost)

"""The attempts at a stage: intended in the status, created, tried again, halted. Never two live ones."""

from __future__ import annotations

from pfd_operator.api.status import ActiveStage, ActiveState

from .budget import gpu_seconds
from .draft import Draft
from .jobs import hung_since, is_live
from .labelling import note_asked
from .names import job_name
from .planned import ask_for_job
from .recipe import Position, position_of
from .retry import close_attempt

DELETION_LOOK_SECONDS = 1.0
"""How soon to look again at a Job that is being deleted, in s."""


def begin_stage(draft: Draft, position: Position) -> None:
    """Intend the first attempt at a stage."""
    draft.set(iteration=position.iteration, stage=position.stage.value, progress="")
    _intend(draft, position, draft.status.first_attempt)


def create_again(draft: Draft, active: ActiveStage) -> None:
    """Create the Job of an attempt that is intended and not seen: it may exist, then nothing happens."""
    # it may also have come and gone unseen, with its pods still on their way out
    draft.unseen = True
    _intend(draft, position_of(active), active.attempt)


def next_attempt(draft: Draft, active: ActiveStage) -> None:
    """Intend the next attempt, as soon as its time has come and no pod of an earlier one can be alive."""
    if active.not_before is not None and draft.now < active.not_before:
        draft.wake((active.not_before - draft.now).total_seconds())
        return
    if _earlier_ones_live(draft, active):
        return
    draft.unseen = True
    draft.set(stage=active.stage.value)
    _intend(draft, position_of(active), active.attempt + 1)


def _intend(draft: Draft, position: Position, attempt: int) -> None:
    """Write an attempt down as it is to be now, and ask for its Job."""
    stage, before = draft.planned(position), draft.active
    intended = ActiveStage(
        iteration=position.iteration,
        stage=position.stage,
        attempt=attempt,
        counted_failures=0 if before is None else before.counted_failures,
        furthest=0 if before is None else before.furthest,
        job_name=job_name(draft.resource.name, draft.resource.uid, position.iteration, position.stage, attempt),
        digest=stage.digest,
        drawn_from=stage.drawn_from(draft.spec, draft.settings),
        completions=stage.completions,
        intended_at=draft.now if before is None else before.intended_at,
        succeeded_indexes=stage.done_before(before),
    )
    draft.set(active=intended)
    note_asked(draft, stage)
    ask_for_job(draft, stage)


def halt(draft: Draft) -> None:
    """End the running attempt from our side; its Job is deleted as one that is not wanted.

    An attempt whose Job was not seen yet stays intended: whether it exists is not known, and going on under the same
    name is the one way that cannot make two.
    """
    job = draft.active_job
    if draft.active is None or draft.active.state is ActiveState.BACKOFF or job is None:
        return
    close_attempt(draft, job)
    draft.wait_no_longer()
    draft.set_active(state=ActiveState.BACKOFF, not_before=None)


def running_gpu_seconds(draft: Draft) -> float:
    """Return the GPU time of the running attempt so far, which the status does not hold yet, in s."""
    job = draft.active_job
    if draft.active is None or draft.active.state is ActiveState.BACKOFF or job is None:
        return 0.0
    return gpu_seconds(draft.spec, job, draft.settings, draft.now)


def _earlier_ones_live(draft: Draft, active: ActiveStage) -> bool:
    patience = draft.settings.node_lost_after_seconds
    live = [
        job
        for job in draft.observed.jobs
        if (job.iteration, job.stage) == (active.iteration, active.stage) and is_live(job, draft.now, patience)
    ]
    if any(job.deleting for job in live):
        draft.wake(DELETION_LOOK_SECONDS)
    for since in filter(None, map(hung_since, live)):
        draft.wake(patience - (draft.now - since).total_seconds())
    return bool(live)

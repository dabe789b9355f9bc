"""Time that the running stage's Job waits in a queue: the deadline stands still, as while a job is suspended."""

from __future__ import annotations

from datetime import datetime

from pfd_operator.api.conditions import Phase
from pfd_operator.api.status import ActiveState

from .draft import Draft
from .observed import ObservedJob


def note_queueing(draft: Draft, job: ObservedJob) -> None:
    """Note since when the Job of the running stage waits, or for how long it did; by the times of the Job itself."""
    if draft.status.phase is not Phase.RUNNING:
        # it is the user who has suspended it
        return
    released = job.released_at
    if job.suspended and job.finished is None:
        draft.set(suspended_at=draft.status.suspended_at or job.suspended_at or draft.now)
        return
    if draft.running.state is ActiveState.INTENDED and released is not None:
        # nobody looked while it waited, if it did
        draft.set(suspended_at=job.created_at)
    since = draft.status.suspended_at
    # it may be seen to be admitted before it has the time of that
    known = since is not None and released is not None and released >= since
    end_queueing(draft, released if known else None)


def end_queueing(draft: Draft, at: datetime | None = None) -> None:
    """Let the deadline go on, if it stood still since a Job was in a queue.

    Parameters
    ----------
    at
        Since when; None for now.
    """
    if draft.status.phase is Phase.RUNNING:
        draft.finish_suspension(at)

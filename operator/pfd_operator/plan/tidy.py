"""Jobs that nobody wants: live ones are stopped, finished ones stay while somebody may look at them."""

from __future__ import annotations

from pfd_operator.api.status import ActiveState

from .draft import Draft
from .jobs import is_live
from .observed import ObservedJob

KEPT_JOBS = 12
"""Finished Jobs that stay at most, however often stages of one iteration were tried."""
ITERATIONS_WITH_JOBS = 2
"""Iterations whose Jobs stay while a job runs: the one under way, and the one before."""


def tidy(draft: Draft) -> None:
    """Delete Jobs that are live and not wanted, and finished ones that are of no more interest.

    Of a job that runs, the Jobs of the last two iterations stay, with their logs. Of one that has ended, the last Job
    stays and those that failed.
    """
    active = draft.active
    wanted = active.job_name if active is not None and active.state is not ActiveState.BACKOFF else None
    patience = draft.settings.node_lost_after_seconds
    finished: list[ObservedJob] = []
    for job in draft.observed.jobs:
        if job.name == wanted:
            continue
        if is_live(job, draft.now, patience):
            draft.delete(job)
        elif not job.deleting:
            finished.append(job)
    finished.sort(key=lambda job: (job.created_at.timestamp() if job.created_at else 0.0, job.name))
    for number, job in enumerate(reversed(finished)):
        if number >= KEPT_JOBS or _is_surplus(draft, job, finished[-1]):
            draft.delete(job, ended=True)


def _is_surplus(draft: Draft, job: ObservedJob, last: ObservedJob) -> bool:
    if draft.status.phase.terminal:
        return job is not last and job.finished == "Complete"
    return job.iteration <= draft.status.iteration - ITERATIONS_WITH_JOBS

"""How soon a change of a child needs a look: at once if something may have to be done, else when it can share one.

What comes until then costs one look and one write of the status together. Pure functions.
"""

from __future__ import annotations

from .observe import CachedJob, CachedPod

AT_ONCE = 0.0
SOON_SECONDS = 2.0
"""For what people want to see: pods run, or cannot start; indexes are done."""
PROGRESS_SECONDS = 10.0
"""For how far a stage of many pods has come: each look at it goes through all of them, and writes the status."""
LATER_SECONDS = 30.0
"""For what only must be noted some time: the Job that was asked for is there. Its pod should run before that, when both
are noted by one write; with less patience each stage of a burst took three."""


def after_job(job: CachedJob, gone: bool, active: bool) -> float:
    """Return the seconds after which to look at the resource of a Job.

    Parameters
    ----------
    job
        As it is, or last was.
    gone
        It does not exist any more.
    active
        It is the Job of the stage that runs.
    """
    observed = job.observed
    if (gone or observed.deleting) and (active or observed.finished is None):
        return AT_ONCE
    if active and (observed.suspended or observed.finished is not None or observed.failed_indexes):
        return SOON_SECONDS
    return PROGRESS_SECONDS if active and observed.succeeded_indexes else LATER_SECONDS


def after_pod(pod: CachedPod, before: CachedPod | None, gone: bool, one_of_many: bool = False) -> float:
    """Return the seconds after which to look at the resource of a pod.

    Parameters
    ----------
    before
        As it was before this change; None if it is new.
    one_of_many
        Its stage goes on whether or not this one succeeds, and it is known to have started.
    """
    observed = pod.observed
    if gone or observed.grace_ends_at is not None:
        # it ends now, unless it had ended before: then it is only swept away
        return LATER_SECONDS if before is not None and before.observed.ended else AT_ONCE
    if one_of_many and observed.waiting_reason is None and observed.phase in ("Running", "Succeeded"):
        return PROGRESS_SECONDS
    if observed.ended:
        return AT_ONCE
    if observed.phase == "Running":
        return SOON_SECONDS
    # for the same reason in other words: the scheduler counts the nodes anew whenever one of them changes
    told = before is not None and before.observed.waiting_reason == observed.waiting_reason
    return LATER_SECONDS if observed.waiting_reason is None or told else SOON_SECONDS

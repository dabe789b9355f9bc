"""A Job of which nothing has started and that would be drawn otherwise now: it makes room for one that is, for free."""

from __future__ import annotations

from pfd_operator.api.conditions import OperatorReason, Phase
from pfd_operator.api.status import ActiveState

from .attempts import halt
from .draft import Draft
from .engines import missing_image
from .observed import ObservedJob
from .recipe import position_of


def replace_outdated(draft: Draft) -> None:
    """Halt an attempt that waits for room, an image or its queue when what keeps it may have been corrected."""
    active, job = draft.active, draft.active_job
    if draft.status.phase is not Phase.RUNNING or draft.held_by_spec:
        return
    if active is None or active.state is not ActiveState.CREATED or not active.drawn_from:
        return
    if job is None or job.deleting or _has_begun(job):
        return
    position = position_of(active)
    stage = draft.planned(position)
    same = stage.drawn_from(draft.spec, draft.settings) == active.drawn_from
    if same or missing_image(stage.params, stage.images.engine):
        return
    # pods that have started may not be seen yet
    draft.unseen = True
    halt(draft)
    draft.tell(
        OperatorReason.STAGE_RETRIED,
        f"{position} is asked for anew, since its image, its settings, spec.pods.{position.stage.value} or spec.queue "
        f"changed before anything of Job {job.name} had started",
    )


def _has_begun(job: ObservedJob) -> bool:
    """Say whether a pod got as far as to run; what the init containers of one did is soon done again."""
    ended = job.finished is not None or job.succeeded_indexes or job.failed_indexes or job.gone_pods_seconds
    return bool(ended) or any(pod.phase != "Pending" for pod in job.pods)

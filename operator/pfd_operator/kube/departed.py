"""Jobs that were deleted before they ended: the garbage collector may take their pods later."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from time import monotonic

from pfd_operator.plan.observed import ObservedJob

from .observe import CachedJob, CachedPod
from .owner import Owner

GRACE_SECONDS = 1.5
"""How much later than a Job's end the watch of pods may show a pod of it."""


class Departed:
    """Those Jobs by their resource, so that a look at one resource costs nothing for the Jobs of all others.

    Parameters
    ----------
    with_pods
        Joins a Job with the pods of it that are there.
    wanted
        Whether a resource is still there: at others nobody looks.
    forgotten
        Called with each Job of which nothing is to be known any more.
    """

    def __init__(
        self,
        with_pods: Callable[[CachedJob], ObservedJob],
        wanted: Callable[[Owner], bool],
        forgotten: Callable[[Owner], None],
    ) -> None:
        self._with_pods = with_pods
        self._wanted = wanted
        self._forgotten = forgotten
        self._by_resource: dict[Owner, dict[Owner, tuple[CachedJob, float]]] = {}
        """With the time of their deletion (monotonic, s)."""
        self._tidy_at = 1
        """So many resources have some when those that are gone are looked for next."""

    def __len__(self) -> int:
        return sum(map(len, self._by_resource.values()))

    def add(self, job: CachedJob) -> None:
        """Keep a Job that was deleted."""
        if len(self._by_resource) >= self._tidy_at:
            self._tidy()
        self._by_resource.setdefault(job.owner, {})[job.as_owner] = (job, monotonic())

    def drop(self, job: CachedJob) -> None:
        """Keep a Job no longer."""
        jobs = self._by_resource.get(job.owner, {})
        jobs.pop(job.as_owner, None)
        if not jobs:
            self._by_resource.pop(job.owner, None)

    def owns(self, pod: CachedPod) -> bool:
        """Return True if the Job of a pod is among them."""
        return pod.owner in self._by_resource.get(pod.resource, ())

    def of(self, owner: Owner) -> list[ObservedJob]:
        """Return a resource's Jobs that still have pods, or may: one made in the last moment is seen a little later."""
        seen = []
        for job, since in list(self._by_resource.get(owner, {}).values()):
            left = replace(self._with_pods(job), deleting=True)
            if not all(pod.ended for pod in left.pods) or monotonic() - since < GRACE_SECONDS:
                seen.append(left)
            else:
                self.drop(job)
                self._forgotten(job.as_owner)
        return seen

    def _tidy(self) -> None:
        """Forget the Jobs of resources that are gone, which no look comes to."""
        for owner in [owner for owner in self._by_resource if not self._wanted(owner)]:
            for as_owner in self._by_resource.pop(owner):
                self._forgotten(as_owner)
        # not with every Job: thousands may go at a time
        self._tidy_at = 2 * len(self._by_resource) + 1

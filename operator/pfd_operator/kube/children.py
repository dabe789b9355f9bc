"""Jobs and pods of our resources, followed by informers and joined into what the planner sees."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from pfd_operator.contract.result import Progress
from pfd_operator.plan.observed import Observed, ObservedJob
from pfd_operator.render.labels import UID_LABEL

from .api import KubeApi
from .departed import Departed
from .informer import SILENCE_SECONDS, Informer, Watched
from .observe import (
    OURS,
    CachedJob,
    CachedPod,
    observed_jobs,
    parse_job,
    parse_pod,
    read_job,
    read_pod,
    with_pods,
)
from .owner import Owner
from .reading import kept_of
from .resources import Key, Snapshot
from .store import ResourceStore
from .urgency import after_job, after_pod

JOBS = "/apis/batch/v1{}/jobs"
PODS = "/api/v1{}/pods"
"""Paths of what is watched, with room for a namespace's part."""

T = TypeVar("T")


class Children:
    """Caches of everything the operator created.

    Parameters
    ----------
    api
        Where to list and watch.
    store
        Custom resources, to find whose child an object is.
    look
        Called when a child changed, with the key of its resource and the seconds after which to look at it.
    namespaces
        Namespaces to watch; empty for all.
    relisted
        Called when a watch was cut for so long that its objects had to be listed anew.
    """

    def __init__(
        self,
        api: KubeApi,
        store: ResourceStore,
        look: Callable[[Key, float], None],
        namespaces: Sequence[str] = (),
        silence_seconds: float = SILENCE_SECONDS,
        relisted: Callable[[], None] = lambda: None,
    ) -> None:
        self._api = api
        self._store = store
        self._look = look
        self._departed = Departed(
            self._with_pods, lambda owner: store.key_of(owner) is not None, self._forget_gone_pods
        )
        self._gone_pods_seconds: dict[Owner, float] = {}
        """Time of containers whose pods are gone, by their Job that is there or just went, in s."""
        self._gone_before: dict[Owner, float] = {}
        """What was known of that when this operator first looked at the Job, in s."""
        self._done_indexes: dict[Owner, set[int]] = defaultdict(set)
        """Indexes that succeeded, by their Job: as counted by it, or seen by their pods a second before."""
        scopes = [f"/namespaces/{namespace}" for namespace in namespaces] or [""]
        self.jobs = [
            Informer(api, Watched(JOBS.format(scope), OURS, parse_job), self._job_changed, silence_seconds, relisted)
            for scope in scopes
        ]
        self.pods = [
            Informer(api, Watched(PODS.format(scope), OURS, parse_pod), self._pod_changed, silence_seconds, relisted)
            for scope in scopes
        ]

    @property
    def informers(self) -> list[Informer[Any]]:
        """All informers."""
        return [*self.jobs, *self.pods]

    async def synced(self) -> None:
        """Wait until every cache holds what exists: before that, a child not seen is not a child lost."""
        await asyncio.gather(*(informer.synced.wait() for informer in self.informers))

    def go_on_from(self, owner: Owner, job_name: str, gone_pods_seconds: float) -> None:
        """Add the time of pods that went to what is counted of a Job, as it was known before the first look at it."""
        for job in self.jobs_of(owner):
            if job.observed.name == job_name:
                self._gone_before.setdefault(job.as_owner, gone_pods_seconds)

    def observed(self, owner: Owner, progress: Progress | None) -> Observed:
        """Return what is known of the children of a resource."""
        return Observed((*map(self._with_pods, self.jobs_of(owner)), *self._departed.of(owner)), progress)

    async def asked(self, name: str, owner: Owner, observed: Observed) -> Observed:
        """Return what is known of a resource's children, its Jobs and pods by asking the server instead of the caches.

        Parameters
        ----------
        name
            Of the resource.

        Raises
        ------
        ApiError
            If it does not answer.
        """
        # Jobs first: a pod that comes in between is seen
        jobs = await self._listed(owner, JOBS, read_job)
        pods = await self._listed(owner, PODS, read_pod)
        found = observed_jobs(name, owner.uid, jobs, pods)
        return replace(
            observed, jobs=tuple(self._with_gone_pods(job, Owner(owner.namespace, job.uid)) for job in found)
        )

    def job(self, namespace: str, name: str) -> CachedJob | None:
        """Return a Job of ours by name."""
        return next((job for informer in self.jobs if (job := informer.get(namespace, name))), None)

    def jobs_of(self, owner: Owner) -> list[CachedJob]:
        """Return the Jobs of a resource."""
        return [job for informer in self.jobs for job in informer.owned_by(owner)]

    async def _listed(self, owner: Owner, collection: str, parse: Callable[[Mapping[str, Any]], T | None]) -> list[T]:
        """Ask the server for a resource's objects. In pages: ten thousand pods are hundreds of MiB."""
        path = collection.format(f"/namespaces/{owner.namespace}")
        pages = self._api.pages(path, {"labelSelector": f"{UID_LABEL}={owner.uid}"})
        found = [kept_of(parse, item, path) async for page in pages for item in page["items"]]
        return [item for item in found if item is not None]

    def _with_pods(self, job: CachedJob) -> ObservedJob:
        pods = (pod for informer in self.pods for pod in informer.owned_by(job.as_owner))
        return self._with_gone_pods(with_pods(job, pods), job.as_owner)

    def _with_gone_pods(self, job: ObservedJob, as_owner: Owner) -> ObservedJob:
        seconds = self._gone_before.get(as_owner, 0.0) + self._gone_pods_seconds.get(as_owner, 0.0)
        return replace(job, gone_pods_seconds=seconds)

    def _forget_gone_pods(self, as_owner: Owner) -> None:
        self._gone_before.pop(as_owner, None)
        self._gone_pods_seconds.pop(as_owner, None)

    def _job_changed(self, job: CachedJob, before: CachedJob | None) -> None:
        if before is not None and before.as_owner != job.as_owner:
            # deleted and made again under its name while the watch was cut
            self._job_gone(before)
        present = self.job(*job.key)
        gone = present is None or present.observed.uid != job.observed.uid
        if gone:
            self._job_gone(job)
        else:
            self._departed.drop(job)
            if job.succeeded:
                self._done_indexes[job.as_owner] |= job.succeeded
        snapshot = self._snapshot_of(job.owner)
        if snapshot is not None:
            active = snapshot.active_job == job.observed.name
            self._look(snapshot.key, after_job(job, gone=gone, active=active))

    def _job_gone(self, job: CachedJob) -> None:
        if job.observed.finished is None:
            self._departed.add(job)
        else:
            self._forget_gone_pods(job.as_owner)
        self._done_indexes.pop(job.as_owner, None)

    def _pod_changed(self, pod: CachedPod, before: CachedPod | None) -> None:
        gone = not any(informer.get(*pod.key) for informer in self.pods)
        if gone and (self._departed.owns(pod) or self._job_of(pod) is not None):
            seconds = pod.observed.seconds_until(self._api.now())
            self._gone_pods_seconds[pod.owner] = self._gone_pods_seconds.get(pod.owner, 0.0) + seconds
        snapshot = self._snapshot_of(pod.resource)
        if snapshot is not None:
            one_of_many = self._goes_on_after(pod) and snapshot.active_has_started
            self._look(snapshot.key, after_pod(pod, before, gone, one_of_many))

    def _goes_on_after(self, pod: CachedPod) -> bool:
        """Return True if indexes of the pod's Job are left to be done."""
        index = pod.observed.index
        job = self._job_of(pod)
        if index is None or job is None or job.observed.completions is None:
            return False
        done = self._done_indexes[pod.owner]
        if pod.observed.phase == "Succeeded":
            done.add(index)
        return len(done) + job.observed.failed_indexes < job.observed.completions

    def _job_of(self, pod: CachedPod) -> CachedJob | None:
        return next((job for job in self.jobs_of(pod.resource) if job.as_owner == pod.owner), None)

    def _snapshot_of(self, owner: Owner) -> Snapshot | None:
        key = self._store.key_of(owner)
        return None if key is None else self._store.get(key)

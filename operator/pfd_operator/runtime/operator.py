"""The parts of a running operator, started in order and stopped in the reverse one."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Coroutine
from typing import Any

from pfd_operator.api.job import GROUP
from pfd_operator.api.kinds import KINDS
from pfd_operator.contract.result import Progress
from pfd_operator.kube import rights
from pfd_operator.kube.api import ApiError, KubeApi
from pfd_operator.kube.children import Children
from pfd_operator.kube.events import EventRecorder
from pfd_operator.kube.gone import Sweep
from pfd_operator.kube.informer import Informer
from pfd_operator.kube.lease import Lease
from pfd_operator.kube.observe import CachedJob
from pfd_operator.kube.resources import Key, Snapshot, collection_path
from pfd_operator.kube.store import ResourceStore
from pfd_operator.kube.urgency import SOON_SECONDS

from .metrics import Metrics
from .progress import INTERVAL_SECONDS, ProgressBoard
from .queue import KeyedQueue
from .reconcile import Reconciler
from .server import Server
from .settings import RuntimeSettings
from .work import Work

log = logging.getLogger(__name__)


class Operator:
    """Caches, queue, workers, server and lease.

    Parameters
    ----------
    api
        The API server.
    settings
        How to run.
    lost
        Called when this operator must stop: its lease is gone, a part of it died, or other namespaces are refused.
    refused
        Those of the settings' namespaces that are left out, since the API server refuses them.
    """

    def __init__(
        self,
        api: KubeApi,
        settings: RuntimeSettings,
        lost: Callable[[], None],
        refused: Collection[str] = (),
        progress_interval_seconds: float = INTERVAL_SECONDS,
    ) -> None:
        self.metrics = Metrics()
        self.api = api
        api.trace(self.metrics.request_trace())
        self.settings = settings
        self.namespaces = [name for name in settings.namespaces if name not in refused]
        """Those that are served; empty for the whole cluster."""
        for name in settings.namespaces:
            self.metrics.namespace_refused.labels(name).set(name in refused)
        self.queue: KeyedQueue[Key] = KeyedQueue(self.metrics.queue_waits.observe)
        self.store = ResourceStore()
        self._sweep = Sweep(api, self.store, self.namespaces, self.queue.add)
        # an outage cuts all watches, and an empty list of jobs is one that kopf tells nobody of
        self.children = Children(api, self.store, self.queue.add_after, self.namespaces, relisted=self._sweep.soon)
        self.server = Server(self, settings.progress_port, settings.metrics_port)
        self._lost = lost
        self._refused = refused
        self._lease = Lease(api, settings.own_namespace, settings.lease_name, settings.identity)
        self._progress = ProgressBoard(progress_interval_seconds)
        self._tasks: list[asyncio.Task[None]] = []
        self._workers: list[asyncio.Task[None]] = []
        self.waits_for = "start"
        """What it cannot work without and has not got yet; nothing while it works."""
        self._recorder = EventRecorder(api, settings.identity, self.queue.idle)
        reconciler = Reconciler(api, self.store, self.children, self._progress, self._recorder, settings.planner)
        self.work = Work(self.queue, reconciler, self.metrics.reconciles)
        self.metrics.follow(self)

    @property
    def informers(self) -> list[Informer[Any]]:
        """The informers of all children."""
        return self.children.informers

    async def start(self) -> None:
        """Serve, wait for the lease, fill the caches, then work: before that, a child not seen looks like one lost."""
        await self.server.start()
        self.waits_for = "an API server that serves the definitions of FineTuneJob and DistillJob"
        await self._wait_for_definition()
        if self.settings.lease_name:
            self.waits_for = f"the Lease {self.settings.lease_name}, which another operator holds"
            await self._lease.acquire()
            self._spawn(self._keep_lease())
        self.metrics.lease_held.set(1)
        if self.settings.namespaces:
            self._spawn(self._follow_rights())
        self.waits_for = "its caches"
        started = time.monotonic()
        for informer in self.informers:
            self._spawn(informer.run())
        await self.children.synced()
        log.info("caches filled in %.2f s", time.monotonic() - started)
        self._workers += [self._spawn(self.work.run()) for _ in range(self.settings.workers)]
        self.waits_for = ""

    async def stop(self) -> None:
        """Stop working, then give the lease back, so that a successor never works at the same time."""
        self._sweep.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.queue.close()
        await self._recorder.close()
        if self.settings.lease_name:
            await self._lease.release()
        await self.server.close()
        await self.api.close()

    def resource_changed(self, body: dict[str, Any], deleted: bool) -> None:
        """Take an event of the custom resources' watch."""
        key = Snapshot(body).key
        self.metrics.resource_events.labels(key.kind).inc()
        if deleted:
            self.store.remove(key, body["metadata"]["uid"])
            self.queue.add(key)
        else:
            held = self.store.get(key)
            self.store.keep(body)
            if held is None or not held.asks_the_same_as(body):
                self.queue.add(key)
            elif not self.work.heard(key, Snapshot(body).version) and not held.covers(body):
                self.queue.add_after(key, SOON_SECONDS)
        for student in self.store.students_of(key):
            self.queue.add_after(student, SOON_SECONDS)

    def listed_anew(self) -> None:
        """Take note that the watch began anew with a list, which does not tell of what was deleted before it."""
        self._sweep.soon()

    def reported(self, job: CachedJob, progress: Progress) -> None:
        """Take a progress report of a running stage; the last words of an attempt that is over are none."""
        _, name = job.key
        key = self.store.key_of(job.owner)
        snapshot = self.store.get(key) if key is not None else None
        if snapshot is not None and snapshot.active_job == name:
            self.queue.add_after(snapshot.key, self._progress.report(snapshot.key, name, progress))

    def complaints(self) -> list[str]:
        """Return why this operator is not healthy; waiting for the lease is healthy."""
        if self.waits_for:
            return []
        complaints = [
            f"the watch of {informer.path} is silent for {informer.silent_for():.0f} s"
            for informer in self.informers
            if informer.silent_for() > self.settings.watch_silence_seconds
        ]
        wait = self.queue.longest_wait()
        if wait > self.settings.stuck_queue_seconds:
            complaints.append(f"a resource waits in the queue for {wait:.0f} s")
        return complaints

    async def _keep_lease(self) -> None:
        await self._lease.keep()
        # until kopf has stopped another operator may act: it stops its watches first, and that takes seconds
        for worker in self._workers:
            worker.cancel()
        self.metrics.lease_held.set(0)
        self._lost()

    async def _follow_rights(self) -> None:
        await rights.until_changed(self.api, self.settings.namespaces, self._refused, self._denied)
        log.error("the API server refuses other namespaces than before: starting anew with those that it does not")
        self._lost()

    def _denied(self) -> bool:
        return any(informer.denied for informer in self.informers)

    async def _wait_for_definition(self) -> None:
        """Wait until the CustomResourceDefinitions are there, which Helm may install a moment later."""
        namespace = self.namespaces[0] if self.namespaces else None
        waiting = list(KINDS)
        said: set[str] = set()
        while True:
            for kind in list(waiting):
                try:
                    await self.api.request("GET", collection_path(kind, namespace), query={"limit": "1"})
                    waiting.remove(kind)
                except ApiError as error:
                    # once each: at first a server may be away that refuses later
                    words = f"waiting for the API server to serve {kind} in {GROUP}: {error}"
                    if words not in said:
                        log.warning("%s", words)
                        said.add(words)
            if not waiting:
                return
            await asyncio.sleep(1)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        task.add_done_callback(self._ended)
        self._tasks.append(task)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("a part of the operator died: %s", error, exc_info=error)
            self._lost()

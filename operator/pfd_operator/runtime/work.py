"""What a worker does: take a resource out of the queue, reconcile it, and put it back by how that ended."""

from __future__ import annotations

import logging
import time
from typing import Literal, get_args

from prometheus_client import Histogram

from pfd_operator.kube.api import ApiError
from pfd_operator.kube.apply import NameTaken
from pfd_operator.kube.history import check_goes_on
from pfd_operator.kube.resources import Key, Snapshot, StatusUnreadable, resource_path
from pfd_operator.kube.urgency import SOON_SECONDS

from .logs import about
from .queue import KeyedQueue
from .reconcile import Reconciler

log = logging.getLogger(__name__)

Outcome = Literal["ok", "conflict", "gone", "refused", "error"]
"""How a reconcile ends, as its metric says."""


class Work:
    """Reconciles what is in the queue; several workers may run it.

    Parameters
    ----------
    seconds
        Where the time of each reconcile goes, by outcome.
    """

    def __init__(self, queue: KeyedQueue[Key], reconciler: Reconciler, seconds: Histogram) -> None:
        self._queue = queue
        self._reconciler = reconciler
        self._store = reconciler.store
        self._seconds = seconds
        # from the start: of a series that begins with its first value, an alert sees no increase
        for outcome in get_args(Outcome):
            seconds.labels(outcome)
        self._heard: dict[Key, int] = {}
        """The newest version that the watch brought of each resource while it is worked on; 0: none."""

    async def run(self) -> None:
        """Work until cancelled; raises `StorageRestored` as `reconcile` does."""
        while True:
            key = await self._queue.get()
            started = time.monotonic()
            self._heard[key] = 0
            try:
                with about(job="/".join(key)):
                    outcome = await self.reconcile(key)
            finally:
                if self._heard.pop(key) > self._store.written(key):
                    self._queue.add_after(key, SOON_SECONDS)
                self._queue.done(key)
            self._seconds.labels(outcome).observe(time.monotonic() - started)

    def heard(self, key: Key, version: int) -> bool:
        """Take note of a version that the watch brought of a resource; return False if it is not worked on now.

        Often it is the echo of a write that comes before the answer to it, which is known when the work is done.
        """
        if key not in self._heard:
            return False
        self._heard[key] = version
        return True

    async def reconcile(self, key: Key) -> Outcome:
        """Reconcile one resource, ask for the next look at it, and return the outcome for the metric.

        Raises
        ------
        StorageRestored
            If the API server's storage was restored from a backup.
        """
        uid, version = self._store.uid_of(key), self._store.version_of(key)
        try:
            again = await self._reconciler.reconcile(key)
        except ApiError as error:
            if (error.status == 409 and error.reason == "Conflict") or error.status == 404:
                return await self._refresh(key, uid, version, error)
            return self._refused(key, error)
        except (NameTaken, StatusUnreadable) as error:
            return self._refused(key, error)
        except Exception:
            # one resource must never stop the others
            log.exception("reconcile failed; again in %.1f s", self._queue.failed(key))
            return "error"
        self._queue.succeeded(key)
        if again is not None:
            self._queue.add_after(key, again)
        return "ok"

    async def _refresh(self, key: Key, uid: str | None, version: int, error: ApiError) -> Outcome:
        """Read a resource anew that is not as the watch says: it changed, or it was deleted while the watch was cut.

        Parameters
        ----------
        uid
            Of the one that was reconciled. Before the answer is here, the watch may have told that it is gone, and
            have brought another of its name: that one stays as it is.
        version
            Of the same.

        Raises
        ------
        StorageRestored
            If the server has an older one.
        """
        try:
            newest = await self._reconciler.api.request("GET", resource_path(key))
        except ApiError as reading:
            if reading.status == 404:
                if uid is not None:
                    self._store.remove(key, uid)
                self._reconciler.forget(key)
                self._queue.succeeded(key)
                return "gone"
            return self._refused(key, reading)
        read = Snapshot(newest).version
        check_goes_on("/".join(key), version, read)
        if self._store.uid_of(key) == uid:
            self._store.keep(newest)
        if error.status == 404 or read == version:
            # not the resource, but something of it, such as a child's namespace or its quota
            return self._refused(key, error)
        log.info("decided on an old version, deciding again: %s", error.message)
        self._queue.add(key)
        return "conflict"

    def _refused(self, key: Key, error: Exception) -> Outcome:
        log.warning("%s; again in %.1f s", error, self._queue.failed(key))
        return "refused"

"""Kubernetes Events on custom resources: the story that `kubectl describe` tells, without repetitions."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from pfd_operator.api.job import GROUP, VERSION
from pfd_operator.contract.text import shortened
from pfd_operator.plan.types import Event

from .api import MERGE_PATCH, ApiError, KubeApi
from .resources import Key, Snapshot

log = logging.getLogger(__name__)

COMPONENT = "pfd-operator"
CLOSING_SECONDS = 2.0
LONGEST_HOLD_SECONDS = 10.0
"""An Event waits no longer than this for the work that goes before it."""
_REMEMBERED = 4096
_BEGINNING = 220
"""Of the resource's name, in an Event's: that may have 253 characters, and the time takes 17 of them."""


class EventRecorder:
    """Emits Events; the same one again raises its count.

    Parameters
    ----------
    api
        Where to write.
    instance
        Name of this operator pod.
    idle
        Waits until nothing is to be done that is more urgent than Events: each is a write, as the next Job is.
    """

    def __init__(self, api: KubeApi, instance: str, idle: Callable[[], Awaitable[None]] | None = None) -> None:
        self._api = api
        self._instance = instance
        self._idle = idle
        self._emitted: OrderedDict[tuple[str, str, str], tuple[str, int]] = OrderedDict()
        self._pending: deque[tuple[Key, str, Event, datetime]] = deque()
        self._writer: asyncio.Task[None] | None = None

    def emit(self, snapshot: Snapshot, event: Event) -> None:
        """Emit one Event when its turn comes: one at a time, and after what is more urgent."""
        # not the resource itself: it is large, and another a moment later
        self._pending.append((snapshot.key, snapshot.uid, event, self._api.now()))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_pending())

    async def close(self) -> None:
        """Emit what is pending, for a short while."""
        if self._writer is not None:
            _, late = await asyncio.wait([self._writer], timeout=CLOSING_SECONDS)
            for task in late:
                task.cancel()

    async def _write_pending(self) -> None:
        while self._pending:
            key, uid, event, at = self._pending[0]
            if self._idle is not None:
                held = (self._api.now() - at).total_seconds()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LONGEST_HOLD_SECONDS - held):
                        await self._idle()
            self._pending.popleft()
            await self._emit(key, uid, event, at)

    async def _emit(self, key: Key, uid: str, event: Event, at: datetime) -> None:
        """Write one Event; a failure is logged and otherwise ignored: Events are for people, nothing rests on them."""
        same = (uid, event.reason, event.message)
        name, count = self._emitted.get(same, ("", 0))
        try:
            if not (count and await self._repeat(key.namespace, name, count + 1, at)):
                name, count = await self._create(key, uid, event, at), 0
        except ApiError as error:
            log.warning("event %s not written: %s", event.reason, error)
            return
        self._emitted[same] = (name, count + 1)
        self._emitted.move_to_end(same)
        if len(self._emitted) > _REMEMBERED:
            self._emitted.popitem(last=False)

    async def _repeat(self, namespace: str, name: str, count: int, at: datetime) -> bool:
        body = {"count": count, "lastTimestamp": _text(at)}
        try:
            await self._api.request("PATCH", f"{_path(namespace)}/{name}", body, content_type=MERGE_PATCH)
        except ApiError as error:
            if error.status == 404:  # Events live for an hour
                return False
            raise
        return True

    async def _create(self, key: Key, uid: str, event: Event, at: datetime) -> str:
        kind, namespace, name = key
        body: dict[str, Any] = {
            "metadata": {"name": _name(name, self._api.now()), "namespace": namespace},
            "involvedObject": {
                "apiVersion": f"{GROUP}/{VERSION}",
                "kind": kind,
                "namespace": namespace,
                "name": name,
                "uid": uid,
            },
            "type": "Warning" if event.warning else "Normal",
            "reason": event.reason,
            "message": shortened(event.message),
            "count": 1,
            "firstTimestamp": _text(at),
            "lastTimestamp": _text(at),
            "source": {"component": COMPONENT},
            "reportingComponent": COMPONENT,
            "reportingInstance": self._instance,
        }
        created = await self._api.request("POST", _path(namespace), body)
        return str(created["metadata"]["name"])


def _name(resource: str, now: datetime) -> str:
    # what is cut off in the middle may end with what no part of a name ends with
    return f"{resource[:_BEGINNING].rstrip('-.')}.{now.timestamp() * 1e6:.0f}"


def _path(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/events"


def _text(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")

"""Kubernetes Events on custom resources: the story that `kubectl describe` tells, without repetitions."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from datetime import UTC, datetime
from typing import Any

from pfd_operator.api.job import GROUP, VERSION
from pfd_operator.plan.types import Event

from .api import MERGE_PATCH, ApiError, KubeApi
from .resources import Snapshot

log = logging.getLogger(__name__)

COMPONENT = "pfd-operator"
MESSAGE_MAX = 1024
CLOSING_SECONDS = 2.0
_REMEMBERED = 4096


class EventRecorder:
    """Emits Events; the same one again raises its count.

    Parameters
    ----------
    api
        Where to write.
    instance
        Name of this operator pod.
    """

    def __init__(self, api: KubeApi, instance: str) -> None:
        self._api = api
        self._instance = instance
        self._emitted: OrderedDict[tuple[str, str, str], tuple[str, int]] = OrderedDict()
        self._turn = asyncio.Lock()
        self._pending: set[asyncio.Task[None]] = set()

    def emit_later(self, snapshot: Snapshot, event: Event) -> None:
        """Emit one Event when its turn comes: one at a time, so that no Job waits for a connection behind Events."""
        task = asyncio.create_task(self._emit_in_turn(snapshot, event))
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    async def close(self) -> None:
        """Emit what is pending, for a short while."""
        if self._pending:
            _, late = await asyncio.wait(self._pending, timeout=CLOSING_SECONDS)
            for task in late:
                task.cancel()

    async def _emit_in_turn(self, snapshot: Snapshot, event: Event) -> None:
        async with self._turn:
            await self.emit(snapshot, event)

    async def emit(self, snapshot: Snapshot, event: Event) -> None:
        """Emit one Event; a failure is logged and otherwise ignored: Events are for people, nothing rests on them."""
        key = (snapshot.uid, event.reason, event.message)
        name, count = self._emitted.get(key, ("", 0))
        try:
            if not (count and await self._repeat(snapshot.key.namespace, name, count + 1)):
                name, count = await self._create(snapshot, event), 0
        except ApiError as error:
            log.warning("event %s not written: %s", event.reason, error)
            return
        self._emitted[key] = (name, count + 1)
        self._emitted.move_to_end(key)
        if len(self._emitted) > _REMEMBERED:
            self._emitted.popitem(last=False)

    async def _repeat(self, namespace: str, name: str, count: int) -> bool:
        body = {"count": count, "lastTimestamp": _now().strftime("%Y-%m-%dT%H:%M:%SZ")}
        try:
            await self._api.request("PATCH", f"{_path(namespace)}/{name}", body, content_type=MERGE_PATCH)
        except ApiError as error:
            if error.status == 404:  # Events live for an hour
                return False
            raise
        return True

    async def _create(self, snapshot: Snapshot, event: Event) -> str:
        kind, namespace, name = snapshot.key
        now = _now()
        body: dict[str, Any] = {
            "metadata": {"name": f"{name[:220]}.{now.timestamp() * 1e6:.0f}", "namespace": namespace},
            "involvedObject": {
                "apiVersion": f"{GROUP}/{VERSION}",
                "kind": kind,
                "namespace": namespace,
                "name": name,
                "uid": snapshot.uid,
            },
            "type": "Warning" if event.warning else "Normal",
            "reason": event.reason,
            "message": event.message[:MESSAGE_MAX],
            "count": 1,
            "firstTimestamp": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "lastTimestamp": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "source": {"component": COMPONENT},
            "reportingComponent": COMPONENT,
            "reportingInstance": self._instance,
        }
        created = await self._api.request("POST", _path(namespace), body)
        return str(created["metadata"]["name"])


def _path(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/events"


def _now() -> datetime:
    return datetime.now(UTC)

"""A Lease that only one operator holds at a time; released at the end, so that a successor starts at once."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from .api import ApiError, KubeApi

log = logging.getLogger(__name__)

DURATION_SECONDS = 15
RENEW_SECONDS = 4.0
RETRY_SECONDS = 1.0
TRY_SECONDS = 3.0
"""One request without an answer neither costs the lease, nor keeps an operator acting after it has expired."""


class Lease:
    """One holder among the operators that share a name.

    Parameters
    ----------
    identity
        Name of this operator's pod: the same pod, restarted, holds its lease still.
    """

    def __init__(self, api: KubeApi, namespace: str, name: str, identity: str) -> None:
        self._api = api
        self._path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._name = name
        self._identity = identity
        self._seen: tuple[Any, float] = (None, 0.0)
        self._lease: dict[str, Any] = {}

    async def acquire(self) -> None:
        """Wait until this operator holds the lease."""
        waiting = False
        while not await self.try_once():
            if not waiting:
                holder = self._lease.get("spec", {}).get("holderIdentity")
                log.info("waiting for the lease %s, held by %s", self._name, holder)
                waiting = True
            await asyncio.sleep(RETRY_SECONDS)
        log.info("holding the lease %s", self._name)

    async def try_once(self) -> bool:
        """Take the lease, or renew it; return False if somebody else holds it, or the server does not answer."""
        return await self._try(self._take)

    async def keep(self) -> None:
        """Renew the lease; returns when it is lost, and then this operator must stop acting."""
        renewed, wait = time.monotonic(), RENEW_SECONDS
        while time.monotonic() - renewed < DURATION_SECONDS * 0.7:
            await asyncio.sleep(wait)
            asked, wait = time.monotonic(), RETRY_SECONDS
            if await self.try_once():
                # counted from the question: what was written is not younger
                renewed, wait = asked, RENEW_SECONDS
            elif (holder := self._lease.get("spec", {}).get("holderIdentity")) not in (self._identity, "", None):
                log.error("the lease %s is lost: %s holds it", self._name, holder)
                return
        log.error("the lease %s is lost: it was not renewed for %.0f s", self._name, time.monotonic() - renewed)

    async def release(self) -> None:
        """Give the lease back."""
        if self._lease.get("spec", {}).get("holderIdentity") == self._identity:
            await self._try(self._give_back)

    async def _try(self, step: Callable[[], Awaitable[bool]]) -> bool:
        try:
            async with asyncio.timeout(TRY_SECONDS):
                return await step()
        except TimeoutError:
            log.warning("lease %s: no answer within %.0f s", self._name, TRY_SECONDS)
            return False
        except ApiError as error:
            # 409: somebody else was quicker; anything else: the next try tells
            if error.status != 409:
                log.warning("lease %s: %s", self._name, error)
            return False

    async def _take(self) -> bool:
        try:
            self._lease = await self._api.request("GET", f"{self._path}/{self._name}")
        except ApiError as error:
            if error.status != 404:
                raise
            self._lease = await self._api.request("POST", self._path, {"metadata": {"name": self._name}, "spec": {}})
        spec: Mapping[str, Any] = self._lease.get("spec") or {}
        if spec.get("holderIdentity") not in (None, "", self._identity) and not self._expired(spec):
            return False
        await self._write({"holderIdentity": self._identity, "leaseDurationSeconds": DURATION_SECONDS})
        return True

    async def _give_back(self) -> bool:
        await self._write({"holderIdentity": "", "leaseDurationSeconds": 1})
        return True

    def _expired(self, spec: Mapping[str, Any]) -> bool:
        """Return True if the holder did not renew for its duration, by our own clock: theirs may be wrong."""
        renewal = (spec.get("holderIdentity"), spec.get("renewTime"))
        if self._seen[0] != renewal:
            self._seen = (renewal, time.monotonic())
        return time.monotonic() - self._seen[1] > float(spec.get("leaseDurationSeconds") or DURATION_SECONDS)

    async def _write(self, fields: Mapping[str, Any]) -> None:
        now = self._api.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        # PUT with the resourceVersion that was read: of two that try at once, one gets 409
        spec = {**(self._lease.get("spec") or {}), **fields, "renewTime": now}
        body = {**self._lease, "spec": spec}
        self._lease = await self._api.request("PUT", f"{self._path}/{self._name}", body)

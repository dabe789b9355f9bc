"""The lease over an API server that does not answer: no real one can be told to be silent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from pfd_operator.kube import lease as module
from pfd_operator.kube.api import KubeApi
from pfd_operator.kube.lease import Lease


class Server:
    """Keeps one lease; silent when told to."""

    def __init__(self, silent: Callable[[int], bool]) -> None:
        self._silent = silent
        self._lease: dict[str, Any] = {"metadata": {"name": "operator"}}
        self.asked = 0

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        self.asked += 1
        if self._silent(self.asked):
            await asyncio.Event().wait()
        if method == "PUT" and body is not None:
            self._lease = dict(body)
        return self._lease


@pytest.fixture(autouse=True)
def _faster(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DURATION_SECONDS", "RENEW_SECONDS", "RETRY_SECONDS", "TRY_SECONDS"):
        monkeypatch.setattr(module, name, getattr(module, name) / 50)


def lease_of(server: Server) -> Lease:
    return Lease(cast(KubeApi, server), "lab", "operator", "pod-1")


async def test_one_request_without_an_answer_does_not_cost_the_lease() -> None:
    server = Server(lambda number: number == 3)
    lease = lease_of(server)
    await lease.acquire()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.0):
            await lease.keep()
    assert server.asked > 5


async def test_a_silent_server_costs_the_lease_before_it_expires() -> None:
    lease = lease_of(Server(lambda number: number > 2))
    await lease.acquire()
    async with asyncio.timeout(module.DURATION_SECONDS):
        await lease.keep()

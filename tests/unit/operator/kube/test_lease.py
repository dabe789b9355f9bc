"""The lease over an API server that does not answer: no real one can be told to be silent, and no real time passes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pfd_operator.kube import lease as module
from pfd_operator.kube.api import KubeApi
from pfd_operator.kube.lease import Lease
from tests.jumping_loop import in_no_time

START = datetime(2026, 1, 1, tzinfo=UTC)


class Server:
    """Keeps one lease; silent when told to."""

    def __init__(self, silent: Callable[[int], bool] = lambda number: False) -> None:
        self._silent = silent
        self._lease: dict[str, Any] = {"metadata": {"name": "operator"}}
        self.asked: list[float] = []
        self.written_at = 0.0

    def now(self) -> datetime:
        return START + timedelta(seconds=seconds())

    async def request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        self.asked.append(seconds())
        if self._silent(len(self.asked)):
            await asyncio.Event().wait()
        if method == "PUT" and body is not None:
            self._lease = dict(body)
            self.written_at = seconds()
        return self._lease

    def give_to(self, holder: str) -> None:
        self._lease = {**self._lease, "spec": {**self._lease["spec"], "holderIdentity": holder}}


def seconds() -> float:
    return asyncio.get_running_loop().time()


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=seconds))


def lease_of(server: Server, identity: str = "pod-1") -> Lease:
    return Lease(cast(KubeApi, server), "lab", "operator", identity)


@in_no_time
async def test_one_request_without_an_answer_does_not_cost_the_lease() -> None:
    server = Server(lambda number: number == 3)
    lease = lease_of(server)
    await lease.acquire()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(60):
            await lease.keep()
    renewal = module.RENEW_SECONDS
    again = renewal + module.TRY_SECONDS + module.RETRY_SECONDS
    # each time a look and a write, but the third request has no answer
    assert server.asked[:7] == pytest.approx([0, 0, renewal, again, again, again + renewal, again + renewal])
    assert server.asked[-1] > 50


@in_no_time
async def test_a_silent_server_costs_the_lease_before_it_expires(caplog: pytest.LogCaptureFixture) -> None:
    server = Server(lambda number: number > 2)
    lease = lease_of(server)
    await lease.acquire()
    async with asyncio.timeout(module.DURATION_SECONDS):
        await lease.keep()
    assert len(server.asked) > 3, "it is tried again while there is time"
    assert re.search(r"the lease operator is lost: it was not renewed for 1\d s$", caplog.text, re.M)


@in_no_time
async def test_a_holder_that_died_is_succeeded_once_its_lease_has_expired() -> None:
    server = Server()
    dying = lease_of(server)
    await dying.acquire()
    renewing = asyncio.create_task(dying.keep())
    waiting = asyncio.create_task(lease_of(server, "pod-2").acquire())
    await asyncio.sleep(4 * module.DURATION_SECONDS)
    assert not waiting.done(), "it is renewed"
    renewing.cancel()
    died = server.written_at
    async with asyncio.timeout(4 * module.DURATION_SECONDS):
        await waiting
    # it sees a renewal, and that none came, at the next of its looks
    assert module.DURATION_SECONDS < seconds() - died <= module.DURATION_SECONDS + 2 * module.RETRY_SECONDS


@in_no_time
async def test_one_that_lost_its_lease_to_another_knows_at_its_next_renewal(caplog: pytest.LogCaptureFixture) -> None:
    server = Server()
    lease = lease_of(server)
    await lease.acquire()
    server.give_to("pod-2")
    async with asyncio.timeout(module.RENEW_SECONDS + 0.1):
        await lease.keep()
    assert "the lease operator is lost: pod-2 holds it" in caplog.text

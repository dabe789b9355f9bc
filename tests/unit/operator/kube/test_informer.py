"""What an informer does when its watches end as soon as they are opened; the rest is tested with a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pfd_operator.kube.api import KubeApi
from pfd_operator.kube.history import StorageRestored
from pfd_operator.kube.informer import LONGEST_BACKOFF_SECONDS, SILENCE_SECONDS, Informer, Watched
from tests.jumping_loop import in_no_time

EXPIRED = b'{"type": "ERROR", "object": {"code": 410, "reason": "Expired"}}'


class Server:
    """Has nothing, and ends each watch with its last line."""

    def __init__(self, last: bytes) -> None:
        self.last = last
        self.version = "1"

    async def request(self, *_: Any, **__: Any) -> dict[str, Any]:
        return {"metadata": {"resourceVersion": self.version}, "items": []}

    async def pages(self, *_: Any) -> AsyncIterator[dict[str, Any]]:
        yield {"metadata": {"resourceVersion": self.version}, "items": []}

    async def lines(self, *_: Any) -> AsyncIterator[bytes]:
        yield b""
        yield self.last


class EnoughError(Exception):
    pass


@pytest.mark.parametrize("last", [b"", EXPIRED], ids=["closed", "expired"])
async def test_a_watch_that_ends_at_once_is_opened_anew_after_ever_longer_waits(
    monkeypatch: pytest.MonkeyPatch, last: bytes
) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 12:
            raise EnoughError

    monkeypatch.setattr("pfd_operator.kube.informer.asyncio.sleep", sleep)
    monkeypatch.setattr("pfd_operator.kube.informer.random.uniform", lambda low, high: high)
    informer = Informer(cast(KubeApi, Server(last)), Watched("/x", "", lambda item: None), lambda item, before: None)
    with pytest.raises(EnoughError):
        await informer.run()
    assert waits[:4] == [0.2, 0.4, 0.8, 1.6]
    assert waits[-1] == LONGEST_BACKOFF_SECONDS
    assert (informer.relists > 1) == (last == EXPIRED)


class Restored(Server):
    """Its watches are cut; says these versions of itself when it is asked, after the first list."""

    def __init__(self, *versions: str) -> None:
        super().__init__(b"")
        self.version = "100"
        self.versions = iter(versions)

    async def request(self, method: str, path: str, query: dict[str, str]) -> dict[str, Any]:
        assert (method, path, query) == ("GET", "/x", {"limit": "1"})
        version = next(self.versions, None)
        if version is None:
            raise EnoughError
        return {"metadata": {"resourceVersion": version}, "items": []}


@pytest.mark.parametrize(("versions", "end"), [(("101", "99"), StorageRestored), (("100", "101"), EnoughError)])
async def test_after_a_watch_was_cut_it_is_asked_whether_the_server_has_gone_back(
    monkeypatch: pytest.MonkeyPatch, versions: tuple[str, ...], end: type[Exception]
) -> None:
    """Of one that has, a watch from what was seen brings nothing for hours, and nobody notices."""
    monkeypatch.setattr("pfd_operator.kube.informer.SHORTEST_WATCH_SECONDS", 0)
    server = cast(KubeApi, Restored(*versions))
    informer = Informer(server, Watched("/x", "", lambda item: None), lambda item, before: None)
    with pytest.raises(end):
        await informer.run()
    assert informer.relists == 1


@in_no_time
@pytest.mark.parametrize("lasting_seconds", [500, SILENCE_SECONDS], ids=["ended as asked", "silent"])
async def test_a_watch_that_was_not_cut_is_opened_anew_without_asking(
    monkeypatch: pytest.MonkeyPatch, lasting_seconds: float
) -> None:
    """In the steady state there are watches, and no requests."""
    monkeypatch.setattr("pfd_operator.kube.informer.time", SimpleNamespace(monotonic=asyncio.get_running_loop().time))
    opened: list[str] = []

    class Steady(Restored):
        async def lines(self, path: str, query: dict[str, str], silence_seconds: float) -> AsyncIterator[bytes]:
            opened.append(query["resourceVersion"])
            yield b""
            await asyncio.sleep(min(lasting_seconds, int(query["timeoutSeconds"])))

    server = cast(KubeApi, Steady())
    informer = Informer(server, Watched("/x", "", lambda item: None), lambda item, before: None)
    running = asyncio.create_task(informer.run())
    await asyncio.sleep(3600)
    assert not running.done() and len(opened) > 5
    running.cancel()

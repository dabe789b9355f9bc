"""What an informer does when its watches end as soon as they are opened; the rest is tested with a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from pfd_operator.kube.api import KubeApi
from pfd_operator.kube.informer import LONGEST_BACKOFF_SECONDS, Informer, Watched

EXPIRED = b'{"type": "ERROR", "object": {"code": 410, "reason": "Expired"}}'


class Server:
    """Has nothing, and ends each watch with its last line."""

    def __init__(self, last: bytes) -> None:
        self.last = last

    async def pages(self, *_: Any) -> AsyncIterator[dict[str, Any]]:
        yield {"metadata": {"resourceVersion": "1"}, "items": []}

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

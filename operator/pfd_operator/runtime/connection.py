"""kopf's connection to the API server: what comes by it is nothing that kopf cannot read, which would end it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

import aiohttp
import kopf

from pfd_operator.kube.nesting import readable

_SURELY_READ = 900
"""Objects and lists in a text: Python's reader takes as many in one another."""


def connection(info: kopf.ConnectionInfo) -> kopf.AiohttpSession:
    """Return a connection as kopf would make it of these credentials, but for the answers' nesting."""
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=info.as_ssl_context()),
        headers=info.as_http_headers(),
        trust_env=info.trust_env,
        response_class=_Answer,
    )
    return kopf.AiohttpSession(
        server=info.server, aiohttp_session=session, default_namespace=info.default_namespace, priority=info.priority
    )


class _Answer(aiohttp.ClientResponse):
    """An answer whose body, or whose lines, can be read."""

    async def start(self, *connection: Any) -> aiohttp.ClientResponse:
        await super().start(*connection)
        self.content = cast(aiohttp.StreamReader, _Lines(self.content))
        return self

    async def read(self) -> bytes:
        self._body = _readable(await super().read())
        return self._body


class _Lines:
    """A body that comes line by line, such as a watch."""

    def __init__(self, content: aiohttp.StreamReader) -> None:
        self._content = content

    def __getattr__(self, name: str) -> Any:
        return getattr(self._content, name)

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        rest = b""
        async for chunk in self._content.iter_chunked(size):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                yield _readable(line) + b"\n"
        yield _readable(rest)


def _readable(text: bytes) -> bytes:
    return readable(text) if text.count(b"{") + text.count(b"[") > _SURELY_READ else text

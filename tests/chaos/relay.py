"""What every fault proxy is: a server that passes requests on to another one, if it does."""

from __future__ import annotations

import asyncio
import ssl
from abc import ABC, abstractmethod
from collections.abc import Collection

import aiohttp
from aiohttp import web
from yarl import URL

from .answers import Answer

_HOP_BY_HOP = frozenset({"connection", "transfer-encoding", "content-length", "keep-alive"})


class Relay(ABC):
    """Passes requests on.

    Parameters
    ----------
    server
        URL of the server.
    tls
        How to trust it; None for plain HTTP.
    dropped_headers
        In lower case: of requests, not passed on.
    """

    def __init__(self, server: str, tls: ssl.SSLContext | None, dropped_headers: Collection[str]) -> None:
        self._server = server.rstrip("/")
        self._tls = tls
        self._dropped = _HOP_BY_HOP | set(dropped_headers)
        self._session: aiohttp.ClientSession | None = None
        self._runner: web.AppRunner | None = None
        self._under_way: set[asyncio.Task[Answer]] = set()

    @abstractmethod
    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a request."""

    async def start(self) -> str:
        """Listen; return the URL."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=None), auto_decompress=False
        )
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self.handle)
        # a client that leaves ends its watch, and a connection kept from it without an answer
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def close(self) -> None:
        """Stop."""
        assert self._runner is not None
        assert self._session is not None
        await self._runner.cleanup()
        await self._session.close()

    async def passed_on(self, request: web.Request, body: bytes, delay_seconds: float = 0.0) -> Answer:
        """Return the server's answer. What is on its way arrives, whether or not anybody still waits for the answer.

        Raises
        ------
        aiohttp.ClientError
            If the server does not answer.
        """
        task = asyncio.get_running_loop().create_task(self._forward(request, body, delay_seconds))
        self._under_way.add(task)
        task.add_done_callback(self._forwarded)
        return await asyncio.shield(task)

    def to_server(self, request: web.Request, body: bytes) -> aiohttp.client._RequestContextManager:
        """Return the request as it goes on."""
        assert self._session is not None
        headers = {name: value for name, value in request.headers.items() if name.lower() not in self._dropped}
        url = URL(self._server + request.raw_path, encoded=True)
        tls = True if self._tls is None else self._tls
        return self._session.request(request.method, url, headers=headers, data=body or None, ssl=tls)

    def _forwarded(self, task: asyncio.Task[Answer]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # nobody may be left to take it

    async def _forward(self, request: web.Request, body: bytes, delay_seconds: float) -> Answer:
        await asyncio.sleep(delay_seconds)
        async with self.to_server(request, body) as response:
            headers = {name: value for name, value in response.headers.items() if name.lower() not in _HOP_BY_HOP}
            length = response.headers.get("Content-Length") if request.method == "HEAD" else None
            return Answer(response.status, headers, await response.read(), length)

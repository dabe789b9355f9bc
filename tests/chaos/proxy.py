"""The fault proxy: the operator's way to the API server, and everything that can happen on it."""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from enum import StrEnum

import aiohttp
from aiohttp import web

from .answers import REFUSALS, Answer, as_response, cut, expired, kind_of, refusal
from .faults import Book, Fault, Request, Weather
from .relay import Relay

UNANSWERED_SECONDS = 33.0
"""Longer than the operator waits for an answer."""
OLD_LIST_SECONDS = 20.0
"""Of what age lists are still told as if they were new."""


class Moment(StrEnum):
    """When the operator is killed, seen from a write of its own."""

    BEFORE = "before"
    AFTER = "after"


class FaultProxy(Relay):
    """Forwards every request to the API server, except when the weather is bad.

    Parameters
    ----------
    server
        URL of the API server.
    tls
        How to trust it; None for plain HTTP.
    weather
        Draws what happens.
    book
        Where it is counted.
    """

    def __init__(self, server: str, tls: ssl.SSLContext | None, weather: Weather, book: Book) -> None:
        super().__init__(server, tls, {"host"})
        self._weather = weather
        self._book = book
        self._lists: defaultdict[str, deque[tuple[float, Answer]]] = defaultdict(lambda: deque(maxlen=40))
        self.writing: Callable[[Moment], bool] = lambda moment: False
        """Called before and after a write that is not the lease's; True if the operator has just been killed."""

    @property
    def _random(self) -> random.Random:
        return self._weather.random

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a request, except when the weather is bad."""
        kind = kind_of(request.method, request.path, request.query)
        fault = self._weather.of_request(kind)
        if kind.watch:
            return await self._watch(request, fault)
        return await self._answer(request, kind, fault)

    async def _answer(self, request: web.Request, kind: Request, fault: Fault | None) -> web.StreamResponse:
        body = await request.read()
        trapped = kind.write and "/leases" not in request.path
        if trapped and self.writing(Moment.BEFORE):
            return cut(request)
        if fault is not None:
            instead = await self._instead(request, fault)
            if instead is not None:
                return instead
        late = self._random.uniform(0.1, 1.2) if fault is Fault.LATE_REQUEST else 0.0
        try:
            answer = await self.passed_on(request, body, late)
        except aiohttp.ClientError:
            return cut(request)
        if kind.list:
            self._lists[request.raw_path].append((time.monotonic(), answer))
        killed = trapped and self.writing(Moment.AFTER)
        return cut(request) if killed else await self._back(request, answer, fault)

    async def _back(self, request: web.Request, answer: Answer, fault: Fault | None) -> web.StreamResponse:
        """Return what becomes of the server's answer."""
        if fault is Fault.ANSWER_LOST:
            return cut(request)
        if fault is Fault.GATEWAY_TIMEOUT:
            return refusal(fault)
        if fault is Fault.SLOW_ANSWER:
            await asyncio.sleep(self._random.uniform(0.2, 3.0))
        return as_response(answer)

    async def _instead(self, request: web.Request, fault: Fault) -> web.StreamResponse | None:
        """Return what is answered without asking the server; None if it has to be asked."""
        if fault is Fault.OLD_LIST:
            old = [answer for at, answer in self._lists[request.raw_path] if time.monotonic() - at < OLD_LIST_SECONDS]
            if not old:
                return None
            self._book.note(fault)
            return as_response(self._random.choice(old))
        self._book.note(fault)
        if fault is Fault.RESET:
            return cut(request)
        if fault is Fault.NO_ANSWER:
            await asyncio.sleep(UNANSWERED_SECONDS)
            return cut(request)
        if fault in (Fault.CONFLICT, Fault.TOO_MANY_REQUESTS, Fault.SERVER_ERROR, Fault.UNAVAILABLE):
            return refusal(fault)
        return None

    async def _watch(self, request: web.Request, fault: Fault | None) -> web.StreamResponse:
        if fault is not None:
            self._book.note(fault)
        if fault is Fault.RESET:
            return cut(request)
        if fault in REFUSALS:
            return refusal(fault)
        if fault is Fault.WATCH_EXPIRED:
            return expired()
        async with self.to_server(request, b"") as server:
            response = web.StreamResponse(status=server.status, headers={"Content-Type": "application/json"})
            await response.prepare(request)
            pass_on = _Stream(response, fault, self._random)
            try:
                await pass_on.run(server.content)
            except (TimeoutError, aiohttp.ClientError, ConnectionError):
                return cut(request)
            await response.write_eof()
            return response


class _Stream:
    """One watch on its way to the operator."""

    def __init__(self, response: web.StreamResponse, fault: Fault | None, dice: random.Random) -> None:
        self._write: Callable[[bytes], Awaitable[None]] = response.write
        self._fault = fault
        self._seconds = dice.uniform(0.0, 6.0)
        """Until it is cut or silent."""
        self._delay = dice.uniform(0.2, 2.0)
        """Of everything that comes late."""

    async def run(self, content: aiohttp.StreamReader) -> None:
        limit = self._seconds if self._fault in (Fault.WATCH_CUT, Fault.WATCH_SILENT) else None
        try:
            async with asyncio.timeout(limit):
                await self._pass(content)
        except TimeoutError:
            if self._fault is not Fault.WATCH_SILENT:
                await self._half_a_line(content)
                raise
            # the connection stands and says nothing, until the operator gives it up
            await asyncio.Event().wait()

    async def _pass(self, content: aiohttp.StreamReader) -> None:
        async for chunk in content.iter_any():
            if self._fault is Fault.WATCH_LATE:
                await asyncio.sleep(self._delay)
            await self._write(chunk)

    async def _half_a_line(self, content: aiohttp.StreamReader) -> None:
        rest = content.read_nowait() if content.total_bytes else b""
        if rest:
            await self._write(rest[: len(rest) // 2])

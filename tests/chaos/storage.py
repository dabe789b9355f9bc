"""The pods' way to S3, and everything that can happen on it."""

from __future__ import annotations

import asyncio

import aiohttp
from aiohttp import web

from .answers import Answer, as_response, cut
from .faults import Book, Fault, Weather
from .relay import Relay

SLOW_SECONDS = (0.2, 1.0)
_REFUSALS = {Fault.STORE_BUSY: (503, "SlowDown"), Fault.STORE_ERROR: (500, "InternalError")}


class StorageProxy(Relay):
    """Forwards every request to an S3 server, except when the weather is bad.

    Parameters
    ----------
    server
        URL of the S3 server. Requests keep the host that they were signed for.
    weather
        Draws what happens.
    book
        Where it is counted.
    """

    def __init__(self, server: str, weather: Weather, book: Book) -> None:
        super().__init__(server, None, ())
        self.weather = weather
        self._book = book
        self._down = False

    async def outage(self, seconds: float) -> None:
        """Refuse everything for a while."""
        self._book.note(Fault.STORE_DOWN)
        self._down = True
        await asyncio.sleep(seconds)
        self._down = False

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a request."""
        body = await request.read()
        fault = self.weather.of_storage()
        if fault is not None:
            self._book.note(fault)
        if self._down or fault is Fault.STORE_RESET:
            return cut(request)
        if fault in _REFUSALS:
            return _refusal(*_REFUSALS[fault])
        try:
            answer = await self.passed_on(request, body)
        except aiohttp.ClientError:
            return cut(request)
        if fault is Fault.STORE_ANSWER_LOST:
            return cut(request)
        if fault is Fault.STORE_SLOW:
            await asyncio.sleep(self.weather.random.uniform(*SLOW_SECONDS))
        if fault is Fault.STORE_TRUNCATED:
            return await _half(request, answer)
        return as_response(answer)


async def _half(request: web.Request, answer: Answer) -> web.StreamResponse:
    """Promise the whole body and send half of it."""
    response = web.StreamResponse(status=answer.status, headers=answer.headers)
    response.content_length = len(answer.body)
    await response.prepare(request)
    await response.write(answer.body[: len(answer.body) // 2])
    return cut(request)


def _refusal(status: int, code: str) -> web.Response:
    text = f"<Error><Code>{code}</Code><Message>Please try again</Message></Error>"
    return web.Response(status=status, text=text, content_type="application/xml")

"""The fault proxy: what it passes on, what it keeps back, and that a lost answer does not undo the work."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from pfd_operator.render.labels import KIND_LABEL, UID_LABEL
from tests.chaos.answers import kind_of
from tests.chaos.faults import Book, Fault, Request, Weather
from tests.chaos.proxy import FaultProxy, Moment

JOBS = "/apis/batch/v1/jobs"


class OneFault(Weather):
    """The same fault every time."""

    def __init__(self) -> None:
        super().__init__("test")
        self.fault: Fault | None = None

    def of_request(self, request: Request) -> Fault | None:
        return self.fault


class Server:
    """An API server as far as the proxy sees it."""

    def __init__(self) -> None:
        self.created: list[str] = []
        self.arrived = asyncio.Event()
        self.seen: list[web.Request] = []
        self.events: asyncio.Queue[bytes] = asyncio.Queue()
        self.app = web.Application()
        self.app.router.add_post(JOBS, self._create)
        self.app.router.add_get(JOBS, self._get)

    async def _create(self, request: web.Request) -> web.Response:
        self.seen.append(request)
        self.created.append((await request.json())["name"])
        self.arrived.set()
        return web.json_response({"name": self.created[-1]}, status=201)

    async def _get(self, request: web.Request) -> web.StreamResponse:
        if "watch" not in request.query:
            return web.json_response({"items": list(self.created)})
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(await self.events.get())


class Setup:
    """Server, proxy and a client of it."""

    def __init__(self, server: Server, weather: OneFault, book: Book, proxy: FaultProxy) -> None:
        self.server, self.weather, self.book, self.proxy = server, weather, book, proxy
        self.url = ""
        self.session: aiohttp.ClientSession

    async def create(self, name: str) -> int:
        async with self.session.post(self.url + JOBS, json={"name": name}) as response:
            await response.read()
            return response.status

    async def list(self) -> list[str]:
        async with self.session.get(self.url + JOBS) as response:
            return list((await response.json())["items"])


@pytest.fixture
async def setup() -> AsyncIterator[Setup]:
    server, weather, book = Server(), OneFault(), Book()
    runner = web.AppRunner(server.app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    proxy = FaultProxy(f"http://127.0.0.1:{runner.addresses[0][1]}", None, weather, book)
    made = Setup(server, weather, book, proxy)
    made.url = await proxy.start()
    async with aiohttp.ClientSession() as made.session:
        yield made
    await proxy.close()
    await runner.cleanup()


async def test_in_good_weather_everything_passes(setup: Setup) -> None:
    headers = {"Authorization": "Bearer token"}
    async with setup.session.post(setup.url + JOBS + "?a=b%2Cc", json={"name": "one"}, headers=headers) as response:
        assert (response.status, await response.json()) == (201, {"name": "one"})
    assert setup.server.seen[0].headers["Authorization"] == "Bearer token"
    assert setup.server.seen[0].query == {"a": "b,c"}
    assert await setup.list() == ["one"]
    assert not setup.book.counts


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault.CONFLICT, 409),
        (Fault.TOO_MANY_REQUESTS, 429),
        (Fault.SERVER_ERROR, 500),
        (Fault.UNAVAILABLE, 503),
    ],
)
async def test_a_refusal_keeps_the_request_back(setup: Setup, fault: Fault, code: int) -> None:
    setup.weather.fault = fault
    assert await setup.create("one") == code
    assert setup.server.created == []
    assert setup.book.counts == {fault: 1}


async def test_a_lost_answer_does_not_undo_the_work(setup: Setup) -> None:
    setup.weather.fault = Fault.ANSWER_LOST
    with pytest.raises(aiohttp.ClientError):
        await setup.create("one")
    setup.weather.fault = Fault.GATEWAY_TIMEOUT
    assert await setup.create("two") == 504
    assert setup.server.created == ["one", "two"]


async def test_a_reset_keeps_the_request_back(setup: Setup) -> None:
    setup.weather.fault = Fault.RESET
    with pytest.raises(aiohttp.ClientError):
        await setup.create("one")
    assert setup.server.created == []


async def test_what_is_on_its_way_arrives_though_its_sender_is_gone(setup: Setup) -> None:
    setup.weather.fault = Fault.LATE_REQUEST
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await setup.create("one")
    async with asyncio.timeout(5):
        await setup.server.arrived.wait()


async def test_an_old_list_is_told_again(setup: Setup) -> None:
    assert await setup.list() == []
    await setup.create("one")
    setup.weather.fault = Fault.OLD_LIST
    assert await setup.list() == []
    setup.weather.fault = None
    assert await setup.list() == ["one"]


@pytest.mark.parametrize(
    ("query", "may_be_old"),
    [
        ({}, True),
        ({"limit": "500"}, True),
        ({"labelSelector": KIND_LABEL, "limit": "500"}, True),
        ({"labelSelector": f"{UID_LABEL}=1f"}, False),
        ({"labelSelector": f"{UID_LABEL}=1f", "limit": "500"}, False),
        ({"limit": "500", "continue": "x"}, False),
    ],
)
def test_what_is_asked_to_be_certain_is_never_answered_with_the_past(query: dict[str, str], may_be_old: bool) -> None:
    assert kind_of("GET", "/api/v1/namespaces/chaos/pods", query).list is may_be_old


async def test_the_operator_is_killed_before_and_after_a_write(setup: Setup) -> None:
    moments: list[Moment] = []

    def kill_at(wanted: Moment) -> None:
        def writing(moment: Moment) -> bool:
            moments.append(moment)
            return moment is wanted

        setup.proxy.writing = writing

    kill_at(Moment.BEFORE)
    with pytest.raises(aiohttp.ClientError):
        await setup.create("one")
    assert setup.server.created == []
    kill_at(Moment.AFTER)
    with pytest.raises(aiohttp.ClientError):
        await setup.create("two")
    assert setup.server.created == ["two"]
    assert moments == [Moment.BEFORE, Moment.BEFORE, Moment.AFTER]


async def test_an_expired_watch_says_so_in_the_stream(setup: Setup) -> None:
    setup.weather.fault = Fault.WATCH_EXPIRED
    async with setup.session.get(setup.url + JOBS + "?watch=true") as response:
        event = json.loads(await response.content.readline())
    assert (event["type"], event["object"]["code"]) == ("ERROR", 410)


@pytest.mark.parametrize("fault", [Fault.WATCH_CUT, Fault.WATCH_SILENT])
async def test_a_watch_breaks_or_goes_silent(setup: Setup, fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup.weather.random, "uniform", lambda low, high: 0.2)
    setup.weather.fault = fault
    async with setup.session.get(setup.url + JOBS + "?watch=true") as response:
        await setup.server.events.put(b"first\n")
        assert await response.content.readline() == b"first\n"
        silent = fault is Fault.WATCH_SILENT
        with pytest.raises(TimeoutError if silent else aiohttp.ClientError):
            async with asyncio.timeout(0.8 if silent else 30):
                while await response.content.read(100):
                    await setup.server.events.put(b"next\n")
    with contextlib.suppress(asyncio.QueueEmpty):
        setup.server.events.get_nowait()

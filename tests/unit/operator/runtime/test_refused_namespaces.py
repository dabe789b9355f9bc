"""A namespace that lost its Role is left out and named; the others are served."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from prometheus_client import generate_latest
from runtime_parts import settings_at

from pfd_operator.kube import rights
from pfd_operator.kube.api import KubeApi
from pfd_operator.kube.children import Children
from pfd_operator.kube.store import ResourceStore
from pfd_operator.runtime.handlers import refused_namespaces, run
from pfd_operator.runtime.operator import Operator
from pfd_operator.runtime.settings import RuntimeSettings


class Server:
    """Has nothing, and refuses some namespaces."""

    def __init__(self) -> None:
        self.refused = {"b"}
        self.away = False
        self.address = ""
        self.asked = 0
        self.cut = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        if self.away:
            return web.json_response({"message": "later"}, status=503)
        if any(f"/namespaces/{name}/" in request.path for name in self.refused):
            return web.json_response({"reason": "Forbidden", "message": "no Role here"}, status=403)
        if "watch" in request.query:
            await asyncio.wait_for(self.cut.wait(), 60)
        return web.json_response({"metadata": {"resourceVersion": "1"}, "items": []})


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server, app = Server(), web.Application()
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield server
    await runner.cleanup()


@pytest.fixture
def settings(server: Server, tmp_path: Path) -> RuntimeSettings:
    return settings_at(server.address, tmp_path, namespaces=("a", "b"), lease_name="", port=0)


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rights, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(rights, "AGAIN_SECONDS", 0.05)


async def test_the_others_are_served_until_its_rights_come_back(
    server: Server, settings: RuntimeSettings, caplog: pytest.LogCaptureFixture
) -> None:
    lost = asyncio.Event()
    refused = await refused_namespaces(settings)
    assert "namespace b is not served: no Role here" in caplog.text
    operator = Operator(await KubeApi.connect(settings.kubeconfig), settings, lost.set, refused)
    try:
        await asyncio.wait_for(operator.start(), 5)
        assert (operator.namespaces, operator.complaints()) == (["a"], [])
        scraped = generate_latest(operator.metrics.registry).decode()
        assert 'pfd_namespace_refused{name="a"} 0.0' in scraped
        assert 'pfd_namespace_refused{name="b"} 1.0' in scraped
        server.away = True
        await asyncio.sleep(0.2)
        assert not lost.is_set()
        server.away, server.refused = False, set()
        await asyncio.wait_for(lost.wait(), 5)
    finally:
        await operator.stop()


async def test_one_that_begins_to_be_refused_is_noticed_if_it_stays_so(
    server: Server, settings: RuntimeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.refused = set()
    monkeypatch.setattr(rights, "AGAIN_SECONDS", 0.3)
    api = await KubeApi.connect(settings.kubeconfig)
    watches = {"denied": False}
    noticed = asyncio.create_task(rights.until_changed(api, settings.namespaces, [], lambda: watches["denied"]))
    server.refused = {"a"}
    await asyncio.sleep(0.2)
    assert server.asked == 0
    watches["denied"] = True
    await asyncio.sleep(0.2)
    server.refused = set()
    await asyncio.sleep(0.4)
    assert not noticed.done()
    server.refused = {"a"}
    await asyncio.wait_for(noticed, 5)
    await api.close()


async def test_with_none_left_the_process_ends(server: Server, settings: RuntimeSettings) -> None:
    server.refused = {"a", "b"}
    assert not await asyncio.wait_for(run(settings), 5)


async def test_what_is_not_known_leaves_none_out(server: Server, settings: RuntimeSettings) -> None:
    server.away = True
    assert await refused_namespaces(settings) == []


async def test_a_watch_that_is_refused_says_so(server: Server, settings: RuntimeSettings) -> None:
    server.refused = set()
    api = await KubeApi.connect(settings.kubeconfig)
    children = Children(api, ResourceStore(), lambda key, seconds: None, ["a"])
    followed = [asyncio.create_task(informer.run()) for informer in children.informers]
    await asyncio.wait_for(children.synced(), 5)
    assert not any(informer.denied for informer in children.informers)
    server.refused = {"a"}
    server.cut.set()
    for _ in range(100):
        await asyncio.sleep(0.05)
        if all(informer.denied for informer in children.informers):
            break
    else:
        pytest.fail("no informer says that it is refused")
    for task in followed:
        task.cancel()
    await api.close()

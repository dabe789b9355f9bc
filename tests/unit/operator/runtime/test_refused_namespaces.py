"""A namespace that lost its Role is left out and named; the others are served."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace

import pytest
from prometheus_client import generate_latest

from pfd_operator.kube import rights
from pfd_operator.kube.api import KubeApi
from pfd_operator.kube.children import Children
from pfd_operator.kube.store import ResourceStore
from pfd_operator.runtime.handlers import refused_namespaces, run
from pfd_operator.runtime.operator import Operator
from pfd_operator.runtime.settings import RuntimeSettings
from tests.unit.operator.runtime.empty_server import EmptyServer
from tests.unit.operator.runtime.runtime_parts import settings_at

PATIENCE = 30.0
"""Seconds after which a test gives up."""


@pytest.fixture
def settings(server: EmptyServer, tmp_path: Path) -> RuntimeSettings:
    return settings_at(server.address, tmp_path, namespaces=("a", "b"), lease_name="", progress_port=0, metrics_port=0)


class Clock:
    """Passes when the test says so."""

    def __init__(self) -> None:
        self._sleepers: asyncio.Queue[tuple[float, asyncio.Event]] = asyncio.Queue()

    async def sleep(self, seconds: float) -> None:
        over = asyncio.Event()
        self._sleepers.put_nowait((seconds, over))
        await over.wait()

    async def waits(self, seconds: float) -> asyncio.Event:
        """Wait until the next one waits, for so long; what is returned is set when that time is over."""
        asked, over = await asyncio.wait_for(self._sleepers.get(), PATIENCE)
        assert asked == seconds
        return over


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(rights, "asyncio", SimpleNamespace(sleep=clock.sleep, gather=asyncio.gather))
    return clock


async def test_the_others_are_served_until_its_rights_come_back(
    server: EmptyServer, settings: RuntimeSettings, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    lost = asyncio.Event()
    refused = await refused_namespaces(settings)
    assert "namespace b is not served: no Role here" in caplog.text
    operator = Operator(await KubeApi.connect(settings.kubeconfig), settings, lost.set, refused)
    try:
        await asyncio.wait_for(operator.start(), PATIENCE)
        assert (operator.namespaces, operator.complaints()) == (["a"], [])
        scraped = generate_latest(operator.metrics.registry).decode()
        assert 'pfd_namespace_refused{name="a"} 0.0' in scraped
        assert 'pfd_namespace_refused{name="b"} 1.0' in scraped
        server.away = True
        (await clock.waits(rights.LOOK_SECONDS)).set()
        look = await clock.waits(rights.LOOK_SECONDS)
        server.away, server.refused = False, set()
        look.set()
        again = await clock.waits(rights.AGAIN_SECONDS)
        assert not lost.is_set()
        again.set()
        await asyncio.wait_for(lost.wait(), PATIENCE)
    finally:
        await operator.stop()


async def test_one_that_begins_to_be_refused_is_noticed_if_it_stays_so(
    server: EmptyServer, settings: RuntimeSettings, clock: Clock
) -> None:
    api = await KubeApi.connect(settings.kubeconfig)
    watches = {"denied": False}
    noticed = asyncio.create_task(rights.until_changed(api, settings.namespaces, [], lambda: watches["denied"]))
    server.refused = {"a"}
    (await clock.waits(rights.LOOK_SECONDS)).set()
    look = await clock.waits(rights.LOOK_SECONDS)
    assert server.asked == 0
    watches["denied"] = True
    look.set()
    again = await clock.waits(rights.AGAIN_SECONDS)
    server.refused = set()
    again.set()
    look = await clock.waits(rights.LOOK_SECONDS)
    assert not noticed.done()
    server.refused = {"a"}
    look.set()
    (await clock.waits(rights.AGAIN_SECONDS)).set()
    await asyncio.wait_for(noticed, PATIENCE)
    await api.close()


async def test_with_none_left_the_process_ends(server: EmptyServer, settings: RuntimeSettings) -> None:
    server.refused = {"a", "b"}
    assert not await asyncio.wait_for(run(settings), PATIENCE)


async def test_what_is_not_known_leaves_none_out(server: EmptyServer, settings: RuntimeSettings) -> None:
    server.away = True
    assert await refused_namespaces(settings) == []


async def test_a_watch_that_is_refused_says_so(server: EmptyServer, settings: RuntimeSettings) -> None:
    server.refused = set()
    api = await KubeApi.connect(settings.kubeconfig)
    children = Children(api, ResourceStore(), lambda key, seconds: None, ["a"])
    followed = [asyncio.create_task(informer.run()) for informer in children.informers]
    await asyncio.wait_for(children.synced(), PATIENCE)
    assert not any(informer.denied for informer in children.informers)
    server.refused = {"a"}
    server.cut.set()
    for _ in range(1000):
        await asyncio.sleep(0.02)
        if all(informer.denied for informer in children.informers):
            break
    else:
        pytest.fail("no informer says that it is refused")
    for task in followed:
        task.cancel()
    await api.close()

"""What the operator waits for at first, and how its process ends: by its exit status the kubelet starts it again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from unittest.mock import AsyncMock, Mock

import aiohttp
import pytest

from pfd_operator import __main__ as process
from pfd_operator.api.kinds import KINDS
from pfd_operator.kube.api import KubeApi
from pfd_operator.kube.lease import Lease
from pfd_operator.runtime.operator import Operator
from tests.free_ports import free_port
from tests.unit.operator.runtime.empty_server import EmptyServer
from tests.unit.operator.runtime.runtime_parts import settings_at
from tests.until import until

pytestmark = pytest.mark.timeout(60)


async def operator_of(server: EmptyServer, folder: Path, lost: asyncio.Event, lease_name: str = "") -> Operator:
    ports = {"progress_port": free_port(), "metrics_port": free_port()}
    settings = settings_at(server.address, folder, lease_name=lease_name, **ports)
    return Operator(await KubeApi.connect(settings.kubeconfig), settings, lost.set)


async def test_it_waits_for_definitions_that_come_later_and_says_so(server: EmptyServer, tmp_path: Path) -> None:
    server.defined = False
    operator = await operator_of(server, tmp_path, asyncio.Event())
    url = f"http://127.0.0.1:{operator.settings.metrics_port}/readyz"
    starting = asyncio.create_task(operator.start())
    try:
        await until(lambda: server.asked > 2)
        async with aiohttp.ClientSession() as session:
            async with session.get(url) as response:
                assert response.status == 503
                assert "definitions of FineTuneJob and DistillJob" in (await response.json())["waitsFor"]
            server.defined = True
            await starting
            async with session.get(url) as response:
                assert response.status == 200
    finally:
        starting.cancel()
        await operator.stop()


async def test_each_reason_for_which_it_waits_is_said_once(
    server: EmptyServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server.away = True
    operator = await operator_of(server, tmp_path, asyncio.Event())
    starting = asyncio.create_task(operator.start())
    try:
        await until(lambda: server.asked > 4)
        server.away, server.defined = False, False
        asked = server.asked
        await until(lambda: server.asked > asked + 4)
    finally:
        starting.cancel()
        await operator.stop()
    said = [message for message in caplog.messages if message.startswith("waiting for the API server to serve")]
    assert sorted((kind, code) for code in ("503", "404") for kind in KINDS) == sorted(
        (message.split()[7], message.split(": ")[1][:3]) for message in said
    )


async def test_a_part_that_dies_ends_the_process(
    server: EmptyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lost = asyncio.Event()
    operator = await operator_of(server, tmp_path, lost)

    async def broken() -> None:
        raise RuntimeError("nobody expected this")

    monkeypatch.setattr(operator.work, "run", broken)
    try:
        await operator.start()
        await asyncio.wait_for(lost.wait(), 20)
    finally:
        await operator.stop()
    assert "nobody expected this" in caplog.text


async def test_work_ends_with_the_lease(server: EmptyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kopf takes seconds to end all else, and somebody else may hold the lease by then."""
    over, lost, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
    for name, step in (("acquire", AsyncMock()), ("keep", AsyncMock(side_effect=over.wait)), ("release", AsyncMock())):
        monkeypatch.setattr(Lease, name, step)
    operator = await operator_of(server, tmp_path, lost, "operator")

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    monkeypatch.setattr(operator.work, "run", work)
    try:
        await operator.start()
        await asyncio.sleep(0)
        assert not ended.is_set()
        over.set()
        await asyncio.wait_for(lost.wait(), 20)
        await asyncio.wait_for(ended.wait(), 20)
    finally:
        await operator.stop()


def test_a_wrong_setting_is_named_by_the_process_that_ends_of_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("PFD_WORKER_IMAGE", raising=False)
    assert process.main() == 2
    assert "PFD_WORKER_IMAGE is not set" in capsys.readouterr().err


def test_a_cluster_that_is_not_found_is_named_by_the_process_that_ends_of_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("PFD_WORKER_IMAGE", "worker")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "absent"))
    for name in ("configure", "gc"):
        monkeypatch.setattr(process, name, Mock())
    assert process.main() == 1
    said = capsys.readouterr().err
    assert (
        said.startswith(f"pfd-operator: cannot connect to Kubernetes by {tmp_path}/absent: ") and said.count("\n") == 1
    )


@pytest.mark.parametrize(("told_to", "status"), [(True, 0), (False, 1)])
def test_an_operator_that_stops_by_itself_has_failed(
    monkeypatch: pytest.MonkeyPatch, told_to: bool, status: int
) -> None:
    monkeypatch.setenv("PFD_WORKER_IMAGE", "worker")
    # what it changes in its own process would stay in this one
    for name in ("configure", "gc"):
        monkeypatch.setattr(process, name, Mock())
    monkeypatch.setattr(process, "run", AsyncMock(return_value=told_to))
    assert process.main() == status

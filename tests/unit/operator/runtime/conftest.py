"""The operator and the API server that the tests of its parts share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from pfd_operator.runtime.operator import Operator
from tests.unit.operator.runtime.empty_server import EmptyServer
from tests.unit.operator.runtime.runtime_parts import operator_at


@pytest.fixture
async def operator(tmp_path: Path) -> AsyncIterator[Operator]:
    operator = await operator_at("http://127.0.0.1:1", tmp_path)
    yield operator
    operator.queue.close()
    await operator.api.close()


@pytest.fixture
async def server() -> AsyncIterator[EmptyServer]:
    server, app = EmptyServer(), web.Application()
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield server
    await runner.cleanup()

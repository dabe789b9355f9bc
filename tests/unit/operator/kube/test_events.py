"""Events come after what is more urgent, in order, and none is lost while there is time."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from pfd_operator.kube.api import KubeApi
from pfd_operator.kube.events import LONGEST_HOLD_SECONDS, EventRecorder
from pfd_operator.kube.resources import Snapshot
from pfd_operator.plan.types import Event
from tests.jumping_loop import in_no_time

SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
"""What the API server takes for a name."""
SILICON = Snapshot({"kind": "FineTuneJob", "metadata": {"namespace": "lab", "name": "silicon", "uid": "u"}})


class Written:
    """Stands for the API server: keeps what Events are created."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.names: list[str] = []

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def request(self, method: str, path: str, body: Mapping[str, Any], **_: Any) -> dict[str, Any]:
        await asyncio.sleep(0)
        self.messages.append(body["message"])
        self.names.append(body["metadata"]["name"])
        return dict(body)


@in_no_time
async def test_events_wait_for_more_urgent_work() -> None:
    written, idle = Written(), asyncio.Event()

    async def until_idle() -> None:
        await idle.wait()

    recorder = EventRecorder(cast(KubeApi, written), "test", until_idle)
    for message in ("explore starts", "explore took 3 s"):
        recorder.emit(SILICON, Event("StageRunning", message))
    await asyncio.sleep(LONGEST_HOLD_SECONDS - 1)
    assert written.messages == []
    idle.set()
    recorder.emit(SILICON, Event("StageRunning", "select starts"))
    await recorder.close()
    assert written.messages == ["explore starts", "explore took 3 s", "select starts"]


async def test_the_writer_comes_back_for_later_events() -> None:
    written = Written()
    recorder = EventRecorder(cast(KubeApi, written), "test")
    for message in ("one", "two"):
        recorder.emit(SILICON, Event("StageRunning", message))
        await recorder.close()
    assert written.messages == ["one", "two"]


async def test_of_a_long_message_the_end_is_kept() -> None:
    written = Written()
    recorder = EventRecorder(cast(KubeApi, written), "test")
    recorder.emit(SILICON, Event("StuckPods", "x" * 2000 + ": create the Secret"))
    await recorder.close()
    assert len(written.messages[0]) <= 1024
    assert written.messages[0].endswith(": create the Secret")


@pytest.mark.parametrize("middle", ["a", "-", ".", "b-", "c."])
async def test_the_longest_names_of_resources_have_events(middle: str) -> None:
    name = ("a" * 219 + middle).ljust(253, "z")
    resource = Snapshot({"kind": "FineTuneJob", "metadata": {"namespace": "lab", "name": name, "uid": "u"}})
    written = Written()
    recorder = EventRecorder(cast(KubeApi, written), "test")
    recorder.emit(resource, Event("Started", "starts"))
    await recorder.close()
    (found,) = written.names
    assert SUBDOMAIN.fullmatch(found) and len(found) <= 253

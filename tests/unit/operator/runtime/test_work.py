"""How a reconcile may end, and what becomes of its resource then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry, Histogram

from pfd_operator.kube.api import ApiError
from pfd_operator.kube.apply import NameTaken
from pfd_operator.kube.history import StorageRestored
from pfd_operator.kube.resources import Key, StatusUnreadable, resource_path
from pfd_operator.kube.store import ResourceStore
from pfd_operator.runtime.queue import KeyedQueue
from pfd_operator.runtime.reconcile import Reconciler
from pfd_operator.runtime.work import Work
from tests.unit.operator.runtime.runtime_parts import body

SILICON = Key("FineTuneJob", "lab", "silicon")
CARBON = Key("FineTuneJob", "lab", "carbon")
CONFLICT = ApiError(409, "Conflict", "the object has been modified")
ABSENT = ApiError(404, "NotFound", "not found")
AWAY = ApiError(0, "NoAnswer", "no answer")


class Scripted:
    """Stands for the reconciler and its API server: ends as it is told, and has one version of the resource."""

    def __init__(self) -> None:
        self.api = self
        self.store = ResourceStore()
        self.store.keep(body("silicon"))
        self.ends: dict[Key, Exception | float | None] = {}
        self.reading: ApiError | None = None
        self.newest = body("silicon")
        self.newest["metadata"]["resourceVersion"] = "7"
        self.meanwhile: Callable[[], None] = lambda: None
        """Happens while the answer to a reading is on its way."""
        self.forgotten: list[Key] = []
        self.ended = asyncio.Event()
        """Set when a reconcile ends well."""

    async def reconcile(self, key: Key) -> float | None:
        end = self.ends[key]
        if isinstance(end, Exception):
            raise end
        self.ended.set()
        return end

    async def request(self, method: str, path: str) -> dict[str, Any]:
        assert (method, path) == ("GET", resource_path(SILICON))
        self.meanwhile()
        if self.reading is not None:
            raise self.reading
        return self.newest

    def forget(self, key: Key) -> None:
        self.forgotten.append(key)


class Worked:
    def __init__(self) -> None:
        self.reconciler = Scripted()
        self.queue: KeyedQueue[Key] = KeyedQueue()
        self.registry = CollectorRegistry()
        seconds = Histogram("seconds", "Time, in seconds", ["outcome"], registry=self.registry)
        self.work = Work(self.queue, cast(Reconciler, self.reconciler), seconds)

    def counted(self, outcome: str) -> float | None:
        return self.registry.get_sample_value("seconds_count", {"outcome": outcome})


@pytest.fixture
async def worked() -> AsyncIterator[Worked]:
    worked = Worked()
    yield worked
    worked.queue.close()


@pytest.mark.parametrize(
    ("end", "reading", "outcome", "failing", "waits"),
    [
        (None, None, "ok", 0, 0),
        (CONFLICT, None, "conflict", 1, 1),
        (CONFLICT, ABSENT, "gone", 0, 0),
        (CONFLICT, AWAY, "refused", 1, 0),
        (ABSENT, ABSENT, "gone", 0, 0),
        # the resource is there, so it is a child or its namespace that is not
        (ABSENT, None, "refused", 1, 0),
        (ApiError(409, "AlreadyExists", "object is being deleted"), None, "refused", 1, 0),
        (ApiError(403, "Forbidden", "exceeded quota"), None, "refused", 1, 0),
        (AWAY, None, "refused", 1, 0),
        (NameTaken("Job x exists and belongs to somebody else"), None, "refused", 1, 0),
        (StatusUnreadable("status.active.stage"), None, "refused", 1, 0),
        (KeyError("iteration"), None, "error", 1, 0),
    ],
)
async def test_how_a_reconcile_ends(
    worked: Worked, end: Exception | None, reading: ApiError | None, outcome: str, failing: int, waits: int
) -> None:
    # it failed before: only what ends well forgets that
    worked.queue.failed(SILICON)
    worked.reconciler.ends[SILICON], worked.reconciler.reading = end, reading
    assert await worked.work.reconcile(SILICON) == outcome
    assert (worked.queue.failing, len(worked.queue)) == (failing, waits)
    assert worked.queue.retries == (2 if outcome in ("refused", "error") else 1)
    assert worked.reconciler.forgotten == ([SILICON] if outcome == "gone" else [])
    assert (worked.reconciler.store.get(SILICON) is None) == (outcome == "gone")


async def test_after_a_conflict_it_is_decided_on_the_newest_version(worked: Worked) -> None:
    worked.reconciler.ends[SILICON] = CONFLICT
    await worked.work.reconcile(SILICON)
    held = worked.reconciler.store.get(SILICON)
    assert held is not None and held.version == 7
    assert await worked.queue.get() == SILICON


async def test_what_conflicts_on_the_newest_version_waits_ever_longer(worked: Worked) -> None:
    """It is something else that conflicts, such as a quota that many draw from at once."""
    worked.reconciler.ends[SILICON] = ApiError(409, "Conflict", "Operation cannot be fulfilled on resourcequotas")
    worked.reconciler.newest = body("silicon")
    assert [await worked.work.reconcile(SILICON) for _ in range(2)] == ["refused", "refused"]
    assert (worked.queue.retries, len(worked.queue)) == (2, 0)


async def test_a_server_that_has_gone_back_ends_the_worker_and_so_the_operator(worked: Worked) -> None:
    """Whatever it writes would conflict: what it holds is of later than all that the server has."""
    worked.reconciler.store.keep(worked.reconciler.newest)
    worked.reconciler.newest = body("silicon")
    worked.reconciler.ends[SILICON] = CONFLICT
    worked.queue.add(SILICON)
    with pytest.raises(StorageRestored, match="FineTuneJob/lab/silicon was at resourceVersion 7, and is at 1"):
        await asyncio.wait_for(worked.work.run(), 5)


@pytest.mark.parametrize("reading", [ABSENT, None])
async def test_one_that_was_replaced_while_it_was_read_is_kept(worked: Worked, reading: ApiError | None) -> None:
    """The watch tells of both, of the end of the old one and of the new one, before the answer is here."""
    new, store = body("silicon"), worked.reconciler.store
    new["metadata"] |= {"uid": "another", "resourceVersion": "9"}

    def replace() -> None:
        store.remove(SILICON, "FineTuneJob-silicon")
        store.keep(new)

    worked.reconciler.ends[SILICON], worked.reconciler.reading = CONFLICT, reading
    worked.reconciler.meanwhile = replace
    await worked.work.reconcile(SILICON)
    assert store.uid_of(SILICON) == "another"


async def test_one_that_went_while_it_was_read_does_not_come_back(worked: Worked) -> None:
    store = worked.reconciler.store
    worked.reconciler.ends[SILICON] = CONFLICT
    worked.reconciler.meanwhile = lambda: store.remove(SILICON, "FineTuneJob-silicon")
    await worked.work.reconcile(SILICON)
    assert store.uid_of(SILICON) is None


async def test_it_is_looked_at_again_when_it_was_asked_for(worked: Worked) -> None:
    worked.reconciler.ends[SILICON] = 0.01
    assert await worked.work.reconcile(SILICON) == "ok"
    assert await asyncio.wait_for(worked.queue.get(), 5) == SILICON


async def test_a_resource_that_breaks_the_reconciler_stops_no_other(
    worked: Worked, caplog: pytest.LogCaptureFixture
) -> None:
    worked.reconciler.ends = {SILICON: RuntimeError("no stage runs"), CARBON: None}
    worker = asyncio.create_task(worked.work.run())
    worked.queue.add(SILICON)
    worked.queue.add(CARBON)
    await asyncio.wait_for(worked.reconciler.ended.wait(), 5)
    worker.cancel()
    assert (worked.counted("error"), worked.counted("ok")) == (1, 1)
    (record,) = caplog.records
    assert record.exc_info is not None and "no stage runs" in str(record.exc_info[1])

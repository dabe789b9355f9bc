"""Which events of the custom resources' watch ask for a reconcile, and how soon."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pfd_operator.kube.gone import AFTER_SECONDS
from pfd_operator.kube.resources import Key, Snapshot
from pfd_operator.kube.urgency import SOON_SECONDS
from pfd_operator.runtime.operator import Operator
from tests.jumping_loop import in_no_time
from tests.unit.operator.runtime.runtime_parts import body

SILICON = Key("FineTuneJob", "lab", "silicon")


@pytest.fixture
def looks(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Key, float]]:
    """What the queue is asked for: the key and the seconds until then."""
    asked: list[tuple[Key, float]] = []
    monkeypatch.setattr(operator.queue, "add", lambda key: asked.append((key, 0.0)))
    monkeypatch.setattr(operator.queue, "add_after", lambda key, seconds: asked.append((key, seconds)))
    return asked


def version(number: int, generation: int = 1, name: str = "silicon", **status: Any) -> dict[str, Any]:
    resource = body(name, **status)
    resource["metadata"] |= {"resourceVersion": str(number), "generation": generation}
    return resource


def test_the_echo_of_an_own_write_asks_for_nothing(operator: Operator, looks: list[tuple[Key, float]]) -> None:
    operator.resource_changed(version(1), deleted=False)
    looks.clear()
    operator.store.keep_written(Snapshot(version(2, stage="explore")))
    operator.resource_changed(version(2, stage="explore"), deleted=False)
    assert looks == []


def test_a_status_that_somebody_else_wrote_is_looked_at(operator: Operator, looks: list[tuple[Key, float]]) -> None:
    operator.resource_changed(version(1), deleted=False)
    operator.resource_changed(version(2, stage="label"), deleted=False)
    assert looks == [(SILICON, 0.0), (SILICON, SOON_SECONDS)]


def test_a_new_spec_is_looked_at_at_once(operator: Operator, looks: list[tuple[Key, float]]) -> None:
    operator.resource_changed(version(1), deleted=False)
    operator.resource_changed(version(2, generation=2), deleted=False)
    assert looks == [(SILICON, 0.0), (SILICON, 0.0)]


def test_a_student_hears_of_its_teacher_also_by_an_echo(operator: Operator, looks: list[tuple[Key, float]]) -> None:
    student = body("light", kind="DistillJob")
    student["spec"] = {"teacher": {"fineTuneJob": {"name": "silicon"}}}
    operator.resource_changed(student, deleted=False)
    operator.resource_changed(version(1), deleted=False)
    looks.clear()
    operator.store.keep_written(Snapshot(version(2, phase="Converged")))
    operator.resource_changed(version(2, phase="Converged"), deleted=False)
    assert looks == [(Key("DistillJob", "lab", "light"), SOON_SECONDS)]


def test_a_student_that_failed_before_it_started_hears_of_its_teacher(
    operator: Operator, looks: list[tuple[Key, float]]
) -> None:
    student = body("light", kind="DistillJob", phase="Failed", finishedAt="2026-01-01T00:00:00Z")
    student["spec"] = {"teacher": {"fineTuneJob": {"name": "silicon"}}}
    operator.resource_changed(student, deleted=False)
    looks.clear()
    operator.resource_changed(version(1, phase="Running"), deleted=False)
    assert (Key("DistillJob", "lab", "light"), SOON_SECONDS) in looks


@in_no_time
async def test_what_was_deleted_while_the_watch_was_cut_is_forgotten(
    operator: Operator, looks: list[tuple[Key, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    lists: list[str] = []

    async def request(method: str, path: str, query: dict[str, str], accept: str) -> dict[str, Any]:
        assert "as=PartialObjectMetadataList" in accept
        lists.append(path)
        # made while the list is on its way
        operator.resource_changed(version(9, name="new"), deleted=False)
        there = [{"metadata": {"uid": f"FineTuneJob-{name}"}} for name in ("kept", "other")]
        if path.endswith("finetunejobs") and "continue" not in query:
            return {"items": there[:1], "metadata": {"continue": "more"}}
        return {"items": there[1:] if path.endswith("finetunejobs") else None, "metadata": {}}

    monkeypatch.setattr(operator.api, "request", request)
    ended: dict[str, Any] = {"phase": "Converged", "finishedAt": "2026-01-01T00:00:00Z"}
    for name in ("silicon", "kept", "other"):
        operator.resource_changed(version(1, name=name, **ended), deleted=False)
        operator.listed_anew()
    # time enough for more than one
    await asyncio.sleep(3 * AFTER_SECONDS)
    assert {key.name for key in operator.store.uids().values()} == {"kept", "other", "new"}
    assert len(lists) == 3, "one sweep for all of a list, in pages"
    assert await operator.queue.get() == SILICON


@in_no_time
async def test_jobs_are_looked_for_also_when_only_our_own_watches_tell_of_an_outage(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where all of a scope were deleted meanwhile, kopf lists nothing and calls nobody."""

    async def request(method: str, path: str, query: dict[str, str], accept: str = "") -> dict[str, Any]:
        return {"items": [], "metadata": {"resourceVersion": "1"}}

    monkeypatch.setattr(operator.api, "request", request)
    ended: dict[str, Any] = {"phase": "Converged", "finishedAt": "2026-01-01T00:00:00Z"}
    operator.resource_changed(version(1, **ended), deleted=False)
    for relists, held in ((1, 1), (2, 0)):
        await operator.informers[0]._list()
        await asyncio.sleep(3 * AFTER_SECONDS)
        assert (operator.informers[0].relists, len(operator.store)) == (relists, held)


@pytest.mark.parametrize(("newest", "looked_at"), [(2, False), (3, True)])
async def test_an_echo_before_the_answer(
    operator: Operator, monkeypatch: pytest.MonkeyPatch, newest: int, looked_at: bool
) -> None:
    """Version 2 is our own write, of which the watch tells first; 3 is somebody else's."""
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    later: list[Key] = []

    async def reconcile(key: Key) -> None:
        for number in range(2, newest + 1):
            operator.resource_changed(version(number), deleted=False)
        operator.store.keep_written(Snapshot(version(2)))

    monkeypatch.setattr(operator.work._reconciler, "reconcile", reconcile)
    monkeypatch.setattr(operator.queue, "add_after", lambda key, seconds: later.append(key))
    monkeypatch.setattr(operator.queue, "done", lambda key: done.set_result(None))
    operator.resource_changed(version(1), deleted=False)
    worker = asyncio.create_task(operator.work.run())
    await asyncio.wait_for(done, 5)
    worker.cancel()
    assert later == ([SILICON] if looked_at else [])

"""What a scrape of the operator says."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from pfd_operator.kube.api import ApiError
from pfd_operator.runtime.operator import Operator
from pfd_operator.runtime.queue import KeyedQueue
from tests.unit.operator.runtime.runtime_parts import body, operator_at

NOW = datetime.now(UTC)


def scrape(operator: Operator) -> dict[str, dict[frozenset[tuple[str, str]], float]]:
    """Return the values by sample name and labels."""
    values: dict[str, dict[frozenset[tuple[str, str]], float]] = {}
    for family in text_string_to_metric_families(generate_latest(operator.metrics.registry).decode()):
        for sample in family.samples:
            values.setdefault(sample.name, {})[frozenset(sample.labels.items())] = sample.value
    return values


def at(values: Mapping[frozenset[tuple[str, str]], float], **labels: str) -> float:
    return values[frozenset(labels.items())]


def condition(kind: str, status: str, reason: str, seconds_ago: float = 0.0) -> dict[str, str]:
    since = (NOW - timedelta(seconds=seconds_ago)).isoformat()
    return {"type": kind, "status": status, "reason": reason, "lastTransitionTime": since}


async def test_jobs_by_kind_phase_and_stage(operator: Operator) -> None:
    for index in range(3):
        operator.resource_changed(body(f"t{index}", phase="Running", active={"stage": "train"}), deleted=False)
    operator.resource_changed(body("light", "DistillJob", phase="Running", active={"stage": "train"}), deleted=False)
    operator.resource_changed(body("new"), deleted=False)
    values = scrape(operator)
    jobs = values["pfd_jobs"]
    assert at(jobs, kind="FineTuneJob", phase="Running", stage="train") == 3
    assert at(jobs, kind="DistillJob", phase="Running", stage="train") == 1
    assert at(jobs, kind="FineTuneJob", phase="Pending", stage="") == 1
    assert at(values["pfd_resource_events_total"], kind="FineTuneJob") == 4


@pytest.mark.parametrize("phase", ["Suspended", "Cancelled", "BudgetExhausted"])
async def test_a_stage_that_was_stopped_does_not_run(operator: Operator, phase: str) -> None:
    ended = {} if phase == "Suspended" else {"finishedAt": NOW.isoformat()}
    operator.resource_changed(body("a", phase=phase, active={"stage": "train"}, **ended), deleted=False)
    assert scrape(operator)["pfd_jobs"] == {frozenset({("kind", "FineTuneJob"), ("phase", phase), ("stage", "")}): 1}


async def test_a_deleted_job_is_no_longer_counted(operator: Operator) -> None:
    kept, deleted = (body(name, phase="Running", labels={"paid": 5}, gpuSeconds=60) for name in ("kept", "gone"))
    operator.resource_changed(kept, deleted=False)
    operator.resource_changed(deleted, deleted=False)
    assert at(scrape(operator)["pfd_jobs_labels"], kind="FineTuneJob", result="paid") == 10
    operator.resource_changed(deleted, deleted=True)
    values = scrape(operator)
    assert at(values["pfd_jobs_labels"], kind="FineTuneJob", result="paid") == 5
    assert at(values["pfd_jobs_gpu_seconds"], kind="FineTuneJob") == 60
    assert sum(values["pfd_jobs"].values()) == 1


async def test_costs_are_summed_by_kind_and_are_there_from_the_start(operator: Operator) -> None:
    assert at(scrape(operator)["pfd_jobs_labels"], kind="DistillJob", result="wasted") == 0
    counts = {"paid": 20, "reused": 4, "failed": 2, "wasted": 1, "budget": 60}
    operator.resource_changed(body("a", labels=counts, gpuSeconds=100), deleted=False)
    operator.resource_changed(body("b", labels=counts, gpuSeconds=23), deleted=False)
    values = scrape(operator)
    shown = {
        result: at(values["pfd_jobs_labels"], kind="FineTuneJob", result=result)
        for result in counts
        if result != "budget"
    }
    assert shown == {"paid": 40, "reused": 8, "failed": 4, "wasted": 2}
    assert at(values["pfd_jobs_label_budget"], kind="FineTuneJob") == 120
    assert at(values["pfd_jobs_gpu_seconds"], kind="FineTuneJob") == 123
    assert at(values["pfd_jobs_gpu_seconds"], kind="DistillJob") == 0


async def test_costs_are_summed_by_the_namespace_of_the_jobs(operator: Operator) -> None:
    for kind, name, paid, seconds in (("FineTuneJob", "a", 20, 100), ("DistillJob", "b", 5, 23)):
        status = {"labels": {"paid": paid}, "gpuSeconds": seconds}
        operator.resource_changed(body(name, kind, **status), deleted=False)
    values = scrape(operator)
    assert values["pfd_namespace_gpu_seconds"] == {frozenset({("job_namespace", "lab")}): 123}
    assert values["pfd_namespace_labels_paid"] == {frozenset({("job_namespace", "lab")}): 25}


async def test_stuck_and_failed_jobs_say_why_and_since_when(operator: Operator) -> None:
    for name, seconds in (("a", 50.0), ("b", 700.0)):
        conditions = [
            condition("Stuck", "True", "Unschedulable", seconds),
            condition("Progressing", "False", "Unschedulable"),
        ]
        operator.resource_changed(body(name, phase="Running", conditions=conditions), deleted=False)
    for name, seconds in (("c", 5000.0), ("d", 100.0)):
        finished = (NOW - timedelta(seconds=seconds)).isoformat()
        conditions = [condition("Stuck", "False", "PodsStart"), condition("Progressing", "False", "OutOfMemory")]
        operator.resource_changed(body(name, phase="Failed", finishedAt=finished, conditions=conditions), deleted=False)
    values = scrape(operator)
    assert values["pfd_jobs_stuck"] == {frozenset({("kind", "FineTuneJob"), ("reason", "Unschedulable")}): 2}
    longest = values["pfd_jobs_longest_stuck_seconds"]
    since_the_import = (datetime.now(UTC) - NOW).total_seconds()
    assert at(longest, kind="FineTuneJob") == pytest.approx(700 + since_the_import, abs=5)
    assert at(longest, kind="DistillJob") == 0
    assert at(values["pfd_jobs_not_progressing"], kind="FineTuneJob", phase="Failed", reason="OutOfMemory") == 2
    failed_at = at(values["pfd_jobs_last_failed_timestamp_seconds"], kind="FineTuneJob")
    assert failed_at == pytest.approx(NOW.timestamp() - 100)


async def test_the_number_of_series_does_not_grow_with_the_number_of_jobs(operator: Operator) -> None:
    def series() -> int:
        return sum(len(values) for values in scrape(operator).values())

    status: dict[str, Any] = {"phase": "Running", "active": {"stage": "train"}, "labels": {"paid": 3}}
    operator.resource_changed(body("j0", **status), deleted=False)
    one = series()
    for index in range(1, 200):
        operator.resource_changed(body(f"j{index}", **status), deleted=False)
    assert series() == one


async def test_watches_of_all_namespaces_are_one_series(tmp_path: Path) -> None:
    operator = await operator_at("http://127.0.0.1:1", tmp_path, namespaces=("a", "b"))
    values = scrape(operator)
    assert at(values["pfd_watch_unsynced"], resource="jobs") == 2
    assert "pfd_watch_silent_seconds" not in values, "a watch that waits for the lease is not silent"
    first, second = operator.children.jobs
    for informer in (first, second):
        informer.synced.set()
    first.heard_at -= 100
    values = scrape(operator)
    assert at(values["pfd_watch_silent_seconds"], resource="jobs") == pytest.approx(100, abs=10)
    assert at(values["pfd_watch_unsynced"], resource="jobs") == 0
    assert at(values["pfd_watch_unsynced"], resource="pods") == 2
    await operator.api.close()


async def test_queue_waits_and_retries() -> None:
    waits: list[float] = []
    queue: KeyedQueue[str] = KeyedQueue(waits.append)
    queue.add("a")
    await asyncio.sleep(0.02)
    assert await queue.get() == "a"
    assert len(waits) == 1
    assert waits[0] >= 0.02
    queue.failed("a")
    queue.failed("a")
    assert (queue.retries, queue.failing) == (2, 1)
    queue.succeeded("a")
    assert (queue.retries, queue.failing) == (2, 0)
    queue.close()


async def test_a_scrape_of_named_samples_reads_no_job(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    operator.resource_changed(body("silicon"), deleted=False)

    def read() -> None:
        raise AssertionError("the jobs were read")

    monkeypatch.setattr(operator.store, "figures", read)
    names = ["pfd_queue_depth", "pfd_resource_events_total"]
    text = generate_latest(operator.metrics.named(names)).decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    assert {sample.name: sample.value for sample in samples} == dict.fromkeys(names, 1)


async def test_requests_are_counted_by_verb_and_answer(operator: Operator, tmp_path: Path) -> None:
    async def answer(request: web.Request) -> web.Response:
        status = {"POST": 201, "DELETE": 404}.get(request.method, 200)
        return web.json_response({"reason": "R", "message": "m"}, status=status)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    metered = await operator_at(f"http://127.0.0.1:{runner.addresses[0][1]}", tmp_path)
    try:
        await metered.api.request("GET", "/apis/x/y")
        await metered.api.request("GET", "/apis/x", query={"limit": "500"})
        await metered.api.request("POST", "/apis/x", {})
        with pytest.raises(ApiError):
            await metered.api.request("DELETE", "/apis/x/y")
        assert b"" in [line async for line in metered.api.lines("/apis/x", {"watch": "true"}, 1.0)]
    finally:
        await metered.api.close()
        await runner.cleanup()
    counted = scrape(metered)["pfd_api_requests_total"]
    wanted = {("get", "200"), ("list", "200"), ("create", "201"), ("delete", "404"), ("watch", "200")}
    assert counted == {frozenset({("verb", verb), ("code", code)}): 1 for verb, code in wanted}
    with pytest.raises(ApiError):
        await operator.api.request("GET", "/apis/x/y")
    assert at(scrape(operator)["pfd_api_requests_total"], verb="get", code="none") == 1


async def test_every_metric_of_time_says_its_unit(operator: Operator) -> None:
    texts = {family.name: family.documentation for family in operator.metrics.registry.collect()}
    of_time = {name: text for name, text in texts.items() if name.startswith("pfd_") and name.endswith("_seconds")}
    # counted, read out of the caches, read out of the jobs
    assert {"pfd_reconcile_seconds", "pfd_queue_longest_wait_seconds", "pfd_jobs_gpu_seconds"} <= set(of_time)
    assert [name for name, text in of_time.items() if "in seconds" not in text] == []

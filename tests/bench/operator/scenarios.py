"""What is measured, one scenario after the other, on one control plane with one fleet of custom resources."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pfd_operator.kube.api import KubeApi
from pfd_operator.kube.gone import AFTER_SECONDS
from pfd_operator.kube.resources import collection_path
from pfd_operator.kube.urgency import LATER_SECONDS
from tests.job_specs import job_body
from tests.until import until

from . import audit
from .control_plane import NAMESPACE, BenchControlPlane
from .floor import Floor, manifest
from .kubelet import Kubelets
from .measured_process import MeasuredOperator
from .watcher import Watcher

CREATED_AT_A_TIME = 16
SETTLE_SECONDS = 5.0
"""The Job controller writes a Job's end up to a second later, and the operator's last look comes after it."""
ONE_POD = {
    "exploration": {"stages": [{"temperaturesKelvin": [300]}], "pods": 1},
    "labeling": {"engine": {"xtb": {}}, "parallelism": 1, "framesPerPod": 100},
}
"""Every stage has one pod: the gap is one between two pods."""


@dataclass
class Bench:
    """What the scenarios share."""

    plane: BenchControlPlane
    api: KubeApi
    operator: MeasuredOperator
    kubelets: Kubelets
    crs: int
    results: dict[str, Any] = field(default_factory=dict)

    @property
    def fleet(self) -> list[str]:
        """Names of the custom resources, each with a running Job."""
        return [f"fleet-{number:05d}" for number in range(self.crs)]

    async def create(self, names: list[str], **changes: Any) -> None:
        """Create custom resources."""
        slots = asyncio.Semaphore(CREATED_AT_A_TIME)

        async def one(name: str) -> None:
            async with slots:
                await self.api.request(
                    "POST", collection_path("FineTuneJob", NAMESPACE), job_body(name, **(ONE_POD | changes))
                )

        await asyncio.gather(*(one(name) for name in names))

    async def all_run(self, seconds: float) -> None:
        """Wait until every resource of the fleet has a running pod and the operator nothing left to do."""
        await until(lambda: self.kubelets.running.keys() >= set(self.fleet), seconds, "a running pod for each resource")
        await self.operator.settled(self.crs, self.crs, 120)

    def requests_since(self, start: datetime) -> Counter[str]:
        """Return what the operator asked of the API server since then."""
        return audit.requests(self.plane.audit_logs(), start, datetime.now(UTC))


async def fill(bench: Bench) -> None:
    """Create the fleet."""
    started = time.monotonic()
    await bench.create(bench.fleet)
    await bench.all_run(60 + bench.crs * 0.5)
    bench.results["crs"] = bench.crs
    bench.results["running_jobs"] = len(bench.kubelets.running)
    bench.results["fill_seconds"] = round(time.monotonic() - started, 1)


async def restart(bench: Bench, repeats: int) -> None:
    """Stop the operator and start it again, until it holds and has looked at everything."""
    seconds = []
    for _ in range(repeats):
        bench.operator.stop()
        bench.operator.start()
        seconds.append(await bench.operator.settled(bench.crs, bench.crs, 120) - bench.operator.started_at)
    bench.results["restart_waited_for_cpu_seconds"] = round(bench.operator.waited_for_cpu_seconds(), 2)
    bench.results["restart_seconds"] = round(statistics.median(seconds), 2)
    bench.results["restart_seconds_each"] = [round(value, 2) for value in seconds]
    bench.results["restart_cpu_seconds"] = round(bench.operator.cpu_seconds(), 2)


async def steady(bench: Bench, seconds: float) -> None:
    """Look at memory, CPU and requests while nothing happens."""
    # so long after the lists of its start it looks for what was deleted before them
    await asyncio.sleep(AFTER_SECONDS + SETTLE_SECONDS)
    start, cpu, began = datetime.now(UTC), bench.operator.cpu_seconds(), time.monotonic()
    await asyncio.sleep(seconds)
    spent = bench.operator.cpu_seconds() - cpu
    bench.results["cpu_cores"] = round(spent / (time.monotonic() - began), 4)
    bench.results["rss_mib"] = round(bench.operator.rss_mib(), 1)
    requests = bench.requests_since(start)
    bench.results["steady_requests"] = {"seconds": seconds, "total": requests.total(), "by_kind": dict(requests)}


async def idle(bench: Bench, samples: int) -> None:
    """End one stage at a time; the next when everything about the last is over."""
    watcher = Watcher(bench.plane.kubeconfig, bench.plane.state / "idle.json")
    start = datetime.now(UTC)
    for number in range(samples):
        name = bench.fleet[number % bench.crs]
        await bench.kubelets.finish(name)
        await until(lambda name=name: name in bench.kubelets.running, 30, f"the next pod of {name}")
        await asyncio.sleep(0.5)
    await asyncio.sleep(SETTLE_SECONDS)
    found, _ = watcher.finish()
    bench.results.setdefault("gap_ms", {})["idle"] = percentiles(found)
    _count_writes(bench, "idle", start, samples)


async def burst(bench: Bench, size: int) -> None:
    """End many stages at once."""
    names = bench.fleet[-size:]
    watcher = Watcher(bench.plane.kubeconfig, bench.plane.state / "burst.json")
    start, cpu, waited = datetime.now(UTC), bench.operator.cpu_seconds(), bench.operator.waited_for_cpu_seconds()
    await bench.kubelets.finish_all(names)
    await bench.all_run(300)
    await asyncio.sleep(SETTLE_SECONDS)
    found, ended = watcher.finish()
    measured = {**percentiles(found), "pods_ended_within_ms": round(1000 * (ended[-1] - ended[0]))}
    bench.results.setdefault("gap_ms", {})[f"burst{size}"] = measured
    bench.results["burst_cpu_ms_per_stage"] = round(1000 * (bench.operator.cpu_seconds() - cpu) / len(names), 2)
    bench.results["burst_waited_for_cpu_seconds"] = round(bench.operator.waited_for_cpu_seconds() - waited, 2)
    bench.results["rss_mib_after_burst"] = round(bench.operator.rss_mib(), 1)
    _count_writes(bench, f"burst{size}", start, len(names))


async def floor(bench: Bench, samples: int, size: int) -> None:
    """Do the idle scenario and the burst with a bare watcher in the operator's place."""
    jobs = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"
    like = (await bench.api.request("GET", jobs, query={"limit": "1"}))["items"][0]
    names = [f"floor-{number:05d}" for number in range(samples + size)]
    slots = asyncio.Semaphore(CREATED_AT_A_TIME)

    async def create(name: str) -> None:
        async with slots:
            await bench.api.request("POST", jobs, manifest(like, name, name, suspend=False))

    await asyncio.gather(*(create(name) for name in names))
    await until(lambda: bench.kubelets.running.keys() >= set(names), 300, "a running pod for each bare Job")
    await asyncio.sleep(SETTLE_SECONDS)
    bare = Floor(bench.plane.kubeconfig)
    for scenario, ending, pause in (("idle", names[:samples], 0.5), (f"burst{size}", names[samples:], 0.0)):
        watcher = Watcher(bench.plane.kubeconfig, bench.plane.state / "floor.json")
        if pause:
            for name in ending:
                await bench.kubelets.finish(name)
                await asyncio.sleep(pause)
        else:
            await bench.kubelets.finish_all(ending)
        await asyncio.sleep(2 * SETTLE_SECONDS)
        found, _ = watcher.finish()
        if len(found) < len(ending):
            raise RuntimeError(f"the bare watcher made {len(found)} Jobs after {len(ending)} pods")
        bench.results.setdefault("floor_gap_ms", {})[scenario] = percentiles(found)
    bare.stop()


async def iterations(bench: Bench, count: int) -> None:
    """Let one resource go through many iterations and weigh its status."""
    name = "long"
    await bench.create(
        [name],
        convergence={"forceRMSE": 1e-6, "consecutive": 2},
        budget={"maxIterations": count, "maxLabels": 10 * count + 40},
    )
    started = time.monotonic()
    start, before = datetime.now(UTC), bench.kubelets.ended
    status = await ended(bench, name, 60 + count * 8)
    stages = bench.kubelets.ended - before
    bench.results[f"status_bytes_after_{count}_iterations"] = len(json.dumps(status, separators=(",", ":")).encode())
    bench.results["iterations_run"] = status["iteration"]
    bench.results["seconds_per_trivial_stage"] = round((time.monotonic() - started) / stages, 3)
    await asyncio.sleep(SETTLE_SECONDS)
    _count_writes(bench, "long", start, stages)


async def finished(bench: Bench, count: int) -> None:
    """Let resources go to their end and weigh what they leave in etcd."""
    names = [f"finished-{number:02d}" for number in range(count)]
    before = bench.kubelets.ended
    await bench.create(
        names, convergence={"forceRMSE": 1e-6, "consecutive": 1}, budget={"maxIterations": 1, "maxLabels": 40}
    )
    for name in names:
        await ended(bench, name, 120)
    # the end is told at once, Jobs of no more interest are looked for with what comes later
    await asyncio.sleep(LATER_SECONDS + SETTLE_SECONDS)
    kinds = {
        "resource": "pfd.dev/finetunejobs",
        "jobs": "jobs",
        "pods": "pods",
        "configmaps": "configmaps",
        "events": "events",
    }
    sizes = {
        kind: sum((await bench.plane.etcd_sizes(f"/registry/{place}/{NAMESPACE}/finished-")).values()) // count
        for kind, place in kinds.items()
    }
    bench.results["etcd_bytes_per_finished_job"] = sum(sizes.values())
    bench.results["etcd_bytes_by_kind"] = sizes
    bench.results["stages_per_finished_job"] = (bench.kubelets.ended - before) / count


async def ended(bench: Bench, name: str, seconds: float) -> dict[str, Any]:
    """Wait until a resource came to its end; return its status."""

    async def status() -> dict[str, Any] | None:
        await asyncio.sleep(0.2)
        found = (await bench.api.request("GET", f"{collection_path('FineTuneJob', NAMESPACE)}/{name}")).get(
            "status"
        ) or {}
        return found if "finishedAt" in found else None

    found: dict[str, Any] = await until(status, seconds, f"the end of {name}")
    if found["phase"] != "MaxIterations":
        raise RuntimeError(f"{name} ended as {found['phase']}: {found['conditions']}")
    return found


def percentiles(seconds: list[float]) -> dict[str, float]:
    """Return p50, p95, p99 and the largest, in ms."""
    if len(seconds) < 2:
        raise RuntimeError(f"{len(seconds)} gaps were seen: there is nothing to take percentiles of")
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    named = {"p50": cuts[49], "p95": cuts[94], "p99": cuts[98], "max": max(seconds)}
    return {name: round(1000 * value, 1) for name, value in named.items()} | {"samples": len(seconds)}


def _count_writes(bench: Bench, scenario: str, start: datetime, stages: int) -> None:
    counts = bench.requests_since(start)
    per_stage = {name: round(count / stages, 2) for name, count in sorted(counts.items())}
    bench.results.setdefault("requests_per_stage", {})[scenario] = per_stage
    bench.results.setdefault("writes_per_stage_by_scenario", {})[scenario] = round(audit.writes(counts) / stages, 2)

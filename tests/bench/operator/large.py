"""Scenarios of size: thousands of finished jobs on top of the fleet, and one stage of thousands of pods."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

from pfd_operator.contract.stage import StageKind
from pfd_operator.kube.api import MERGE_PATCH
from pfd_operator.kube.resources import collection_path
from pfd_operator.plan.names import job_name
from tests.pod_statuses import now

from . import audit
from .control_plane import NAMESPACE
from .kubelet import PODS
from .scenarios import CREATED_AT_A_TIME, SETTLE_SECONDS, Bench, ended

JOBS = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"
RESOURCES = collection_path("FineTuneJob", NAMESPACE)
NOBODY = "pfd.dev/bench"
"""Controller of copied Jobs: the Job controller leaves them as they are."""


async def on_top(bench: Bench, count: int, seconds: float) -> None:
    """Put finished jobs beside the fleet, each as the first really finished one was left, and start the operator."""
    if not count:
        return
    like = await bench.api.request("GET", f"{RESOURCES}/finished-00")
    selector = {"labelSelector": "pfd.dev/job=finished-00"}
    (job,) = (await bench.api.request("GET", JOBS, query=selector))["items"]
    bench.operator.stop()
    slots = asyncio.Semaphore(CREATED_AT_A_TIME)

    async def one(name: str) -> None:
        async with slots:
            await _copy(bench, name, like, job)

    await asyncio.gather(*(one(f"done-{number:05d}") for number in range(count)))
    bench.operator.start()
    settled = await bench.operator.settled(bench.crs + count, bench.crs + count, 300)
    found: dict[str, Any] = {
        "finished_jobs": count,
        "restart_seconds": round(settled - bench.operator.started_at, 2),
        "restart_cpu_seconds": round(bench.operator.cpu_seconds(), 2),
    }
    await asyncio.sleep(SETTLE_SECONDS)
    start, cpu, began = datetime.now(UTC), bench.operator.cpu_seconds(), time.monotonic()
    await asyncio.sleep(seconds)
    found["cpu_cores"] = round((bench.operator.cpu_seconds() - cpu) / (time.monotonic() - began), 4)
    found["rss_mib"] = round(bench.operator.rss_mib(), 1)
    found["steady_requests"] = bench.requests_since(start).total()
    bench.results["finished_on_top"] = found


async def indexed(bench: Bench, items: int) -> None:
    """Let one resource have a label stage of very many indexes."""
    if not items:
        return
    name = "indexed"
    bench.kubelets.tasks[name] = items
    start, cpu, began = datetime.now(UTC), bench.operator.cpu_seconds(), time.monotonic()
    await bench.create(
        [name],
        labeling={"engine": {"xtb": {}}, "parallelism": 64, "framesPerPod": 1},
        convergence={"forceRMSE": 1e-6},
        # a selection that asks for more than is left would be made again
        budget={"maxIterations": 1, "maxLabels": items + 100},
    )
    await ended(bench, name, 120 + 0.2 * items)
    requests = bench.requests_since(start)
    bench.results["indexed_job"] = {
        "items": items,
        "seconds": round(time.monotonic() - began, 1),
        "cpu_seconds": round(bench.operator.cpu_seconds() - cpu, 1),
        "rss_mib": round(bench.operator.rss_mib(), 1),
        "status_writes": requests["patch finetunejobs/status"],
        "writes": audit.writes(requests),
    }


async def _copy(bench: Bench, name: str, like: dict[str, Any], job: dict[str, Any]) -> None:
    api = bench.api
    created = await api.request(
        "POST", RESOURCES, {key: like[key] for key in ("apiVersion", "kind", "spec")} | {"metadata": {"name": name}}
    )
    status = {"status": like["status"]}
    await api.request("PATCH", f"{RESOURCES}/{name}/status", status, content_type=MERGE_PATCH)
    uid = created["metadata"]["uid"]
    kept = await api.request("POST", JOBS, _job(name, uid, job))
    over = {
        "startTime": now(),
        "completionTime": now(),
        "succeeded": 1,
        "conditions": [{"type": kind, "status": "True"} for kind in ("SuccessCriteriaMet", "Complete")],
    }
    path = f"{JOBS}/{kept['metadata']['name']}/status"
    await api.request("PATCH", path, {"status": over}, content_type=MERGE_PATCH)
    # the kubelets let it run, and end well at once
    await api.request("POST", PODS, _pod(kept))


def _job(name: str, uid: str, like: dict[str, Any]) -> dict[str, Any]:
    owner = {**like["metadata"]["ownerReferences"][0], "name": name, "uid": uid}
    labels = {**like["metadata"]["labels"], "pfd.dev/job": name, "pfd.dev/uid": uid}
    template = like["spec"]["template"]
    metadata = {"labels": labels, "annotations": template["metadata"]["annotations"]}
    return {
        "metadata": {
            # with another one it would be somebody's copy, which the operator does not hold
            "name": _name(name, labels),
            "labels": labels,
            "annotations": like["metadata"]["annotations"],
            "ownerReferences": [owner],
        },
        "spec": {
            **{
                key: like["spec"][key] for key in ("backoffLimit", "completions", "parallelism", "podReplacementPolicy")
            },
            "managedBy": NOBODY,
            "template": {"metadata": metadata, "spec": template["spec"]},
        },
    }


def _name(resource: str, labels: dict[str, str]) -> str:
    iteration, stage, attempt = (labels[f"pfd.dev/{name}"] for name in ("iteration", "stage", "attempt"))
    return job_name(resource, labels["pfd.dev/uid"], int(iteration), StageKind(stage), int(attempt))


def _pod(job: dict[str, Any]) -> dict[str, Any]:
    name, uid = job["metadata"]["name"], job["metadata"]["uid"]
    template = job["spec"]["template"]
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": uid, "controller": True}
    return {
        "metadata": {
            "name": f"{name}-pod",
            "labels": template["metadata"]["labels"],
            "annotations": template["metadata"]["annotations"],
            "ownerReferences": [owner],
        },
        "spec": template["spec"],
    }

"""The whole operator in this process, the pods that are played beside it, and what a FineTuneJob of it shows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from pfd_operator.kube.api import KubeApi
from pfd_operator.kube.resources import Snapshot, collection_path
from pfd_operator.plan.types import Settings
from pfd_operator.runtime.handlers import run
from pfd_operator.runtime.settings import RuntimeSettings
from tests.free_ports import free_port
from tests.integration.kubelet import Kubelet
from tests.job_specs import job_body
from tests.until import until

PROGRESS_PORT = free_port(in_a_row=2)
METRICS_PORT = PROGRESS_PORT + 1


def settings_for(namespace: str, kubeconfig: Path) -> RuntimeSettings:
    return RuntimeSettings(
        planner=Settings(
            worker_image="worker",
            engine_images={},
            progress_url=f"http://127.0.0.1:{PROGRESS_PORT}",
            backoff_seconds=1,
        ),
        namespaces=(namespace,),
        own_namespace=namespace,
        progress_port=PROGRESS_PORT,
        metrics_port=METRICS_PORT,
        kubeconfig=kubeconfig,
    )


@asynccontextmanager
async def operator(namespace: str, kubeconfig: Path) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(run(settings_for(namespace, kubeconfig), stop))
    try:
        yield
    finally:
        stop.set()
        assert await asyncio.wait_for(task, 30), "the operator stopped by itself"


@asynccontextmanager
async def kubelet(api: KubeApi, namespace: str, seconds: float = 0.0) -> AsyncIterator[Kubelet]:
    node = Kubelet(api, namespace, seconds)
    task = asyncio.create_task(node.run())
    try:
        yield node
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def status_of(api: KubeApi, namespace: str, name: str = "silicon") -> dict[str, Any]:
    body = await api.request("GET", f"{collection_path('FineTuneJob', namespace)}/{name}")
    return dict(body.get("status") or {})


async def until_phase(api: KubeApi, namespace: str, phase: str, seconds: float = 90) -> dict[str, Any]:
    async def reached() -> dict[str, Any] | None:
        status = await status_of(api, namespace)
        return status if status.get("phase") == phase else None

    try:
        found: dict[str, Any] = await until(reached, seconds)
    except AssertionError as error:
        raise AssertionError(f"not {phase}: {await status_of(api, namespace)}") from error
    return found


def conditions_of(status: Mapping[str, Any]) -> dict[str, Any]:
    return {item["type"]: item for item in status["conditions"]}


async def create(api: KubeApi, namespace: str, name: str = "silicon", **changes: Any) -> Snapshot:
    return Snapshot(await api.request("POST", collection_path("FineTuneJob", namespace), job_body(name, **changes)))

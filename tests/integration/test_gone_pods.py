"""The time of a pod that was deleted is not forgotten with it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from pfd_operator.kube.api import MERGE_PATCH, KubeApi
from pfd_operator.kube.children import Children
from pfd_operator.kube.events import EventRecorder
from pfd_operator.kube.resources import Snapshot, collection_path
from pfd_operator.kube.store import ResourceStore
from pfd_operator.plan.types import Settings
from pfd_operator.runtime.progress import ProgressBoard
from pfd_operator.runtime.reconcile import Reconciler
from tests.integration.cluster_parts import job_body
from tests.pod_statuses import now, running, status_of
from tests.until import until

pytestmark = pytest.mark.timeout(60)


async def test_time_of_a_deleted_pod_is_kept_with_its_job(api: KubeApi, namespace: str) -> None:
    body = await api.request("POST", collection_path("FineTuneJob", namespace), job_body("silicon"))
    store = ResourceStore()
    children = Children(api, store, lambda key, seconds: None, (namespace,))
    settings = Settings(worker_image="worker", engine_images={})
    key = store.keep(body)
    following = [asyncio.create_task(informer.run()) for informer in children.informers]
    try:
        await children.synced()
        await Reconciler(api, store, children, ProgressBoard(), EventRecorder(api, "test"), settings).reconcile(key)
        pods = f"/api/v1/namespaces/{namespace}/pods"
        (pod,) = await until(lambda: _items(api, pods))
        status = status_of("Running", running(now(seconds_ago=100)))
        path = f"{pods}/{pod['metadata']['name']}"
        await api.request("PATCH", f"{path}/status", {"status": status}, content_type=MERGE_PATCH)
        owner = Snapshot(body).as_owner
        await until(lambda: any(each.started_at for job in children.observed(owner, None).jobs for each in job.pods))
        await api.request("DELETE", path, {"gracePeriodSeconds": 0})
        await until(lambda: [job.gone_pods_seconds for job in children.observed(owner, None).jobs if not job.pods])
        (job,) = children.observed(owner, None).jobs
        assert 100 <= job.gone_pods_seconds < 130
    finally:
        for task in following:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def _items(api: KubeApi, path: str) -> list[dict[str, Any]]:
    return list((await api.request("GET", path))["items"])

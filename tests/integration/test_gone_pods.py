"""The time of a pod that was deleted is not forgotten with it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from pfd_operator.kube.api import MERGE_PATCH, KubeApi
from pfd_operator.runtime.reconcile import Reconciler
from tests.integration.one_operator import create
from tests.pod_statuses import now, running, status_of
from tests.until import until

pytestmark = pytest.mark.timeout(60)


async def test_time_of_a_deleted_pod_is_kept_with_its_job(api: KubeApi, namespace: str, reconciler: Reconciler) -> None:
    made, children = await create(api, namespace), reconciler.children
    key = reconciler.store.keep(made.body)
    following = [asyncio.create_task(informer.run()) for informer in children.informers]
    try:
        await children.synced()
        await reconciler.reconcile(key)
        pods = f"/api/v1/namespaces/{namespace}/pods"
        (pod,) = await until(lambda: _items(api, pods))
        status = status_of("Running", running(now(seconds_ago=100)))
        path = f"{pods}/{pod['metadata']['name']}"
        await api.request("PATCH", f"{path}/status", {"status": status}, content_type=MERGE_PATCH)
        owner = made.as_owner
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

"""Caches that are behind the API server: nothing is built on what they do not show."""

from __future__ import annotations

import pytest

from pfd_operator.api.status import ActiveState, JobStatus
from pfd_operator.contract.stage import StageKind
from pfd_operator.kube.api import KubeApi
from pfd_operator.kube.resources import Key, Snapshot, collection_path, write_status
from pfd_operator.runtime.reconcile import Reconciler
from tests.integration.kubelet import Kubelet
from tests.integration.one_operator import create
from tests.until import until

pytestmark = pytest.mark.timeout(60)


class Blind:
    """An operator whose caches of Jobs and pods stay empty."""

    def __init__(self, reconciler: Reconciler, namespace: str) -> None:
        self._api = reconciler.api
        self._path = f"{collection_path('FineTuneJob', namespace)}/silicon"
        self._reconciler = reconciler

    async def status(self) -> JobStatus:
        """Return the status as it is."""
        return Snapshot(await self._api.request("GET", self._path)).status()

    async def reconcile(self, **active: object) -> JobStatus:
        """Reconcile once, after the running stage's record was changed; return the status then."""
        snapshot = Snapshot(await self._api.request("GET", self._path))
        status = snapshot.status()
        if active:
            assert status.active is not None
            changed = status.model_copy(update={"active": status.active.model_copy(update=active)})
            snapshot = await write_status(self._api, snapshot, changed)
        key: Key = self._reconciler.store.keep(snapshot.body)
        await self._reconciler.reconcile(key)
        return await self.status()


async def test_a_job_that_no_cache_shows_is_not_lost_while_it_lives(
    api: KubeApi, namespace: str, reconciler: Reconciler
) -> None:
    await create(api, namespace)
    blind = Blind(reconciler, namespace)
    begun = (await blind.reconcile()).active
    assert begun is not None
    status = await blind.reconcile(state=ActiveState.CREATED)
    assert status.active is not None
    assert (status.active.attempt, status.active.job_name) == (1, begun.job_name)
    assert [item["metadata"]["name"] for item in await _jobs(api, namespace)] == [begun.job_name]


async def test_a_result_that_no_cache_shows_is_taken(api: KubeApi, namespace: str, reconciler: Reconciler) -> None:
    await create(api, namespace)
    blind, node = Blind(reconciler, namespace), Kubelet(api, namespace)
    await blind.reconcile()
    (pod,) = await until(lambda: _pods(api, namespace))
    await node.run_pod(pod)
    status = await blind.reconcile(state=ActiveState.CREATED)
    assert [record.stage for record in status.stages] == [StageKind.PREPARE]


async def _jobs(api: KubeApi, namespace: str) -> list[dict[str, dict[str, str]]]:
    return list((await api.request("GET", f"/apis/batch/v1/namespaces/{namespace}/jobs"))["items"])


async def _pods(api: KubeApi, namespace: str) -> list[dict[str, dict[str, str]]]:
    return list((await api.request("GET", f"/api/v1/namespaces/{namespace}/pods"))["items"])

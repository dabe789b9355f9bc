"""Writes against a real API server: conflicts are dropped, what exists is adopted, what is foreign is not touched."""

from __future__ import annotations

import pytest

from pfd_operator.api.conditions import Phase
from pfd_operator.kube.api import ApiError, KubeApi
from pfd_operator.kube.apply import NameTaken, apply, create, delete_job
from pfd_operator.kube.events import EventRecorder
from pfd_operator.kube.gone import Sweep
from pfd_operator.kube.lease import Lease
from pfd_operator.kube.resources import Key, collection_path, resource_path, write_status
from pfd_operator.kube.store import ResourceStore
from pfd_operator.plan.types import Decision, DeleteJob, Event, Settings
from pfd_operator.render import config_map_manifest
from tests.integration.one_operator import create as make
from tests.until import until

SETTINGS = Settings(worker_image="worker", engine_images={})


async def _create_job(api: KubeApi, namespace: str, name: str) -> tuple[str, str]:
    """Create a Job; return its path and uid."""
    jobs = f"/apis/batch/v1/namespaces/{namespace}/jobs"
    pod = {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}
    made = await api.request("POST", jobs, {"metadata": {"name": name}, "spec": {"template": {"spec": pod}}})
    return f"{jobs}/{name}", made["metadata"]["uid"]


async def _gone(api: KubeApi, path: str) -> bool:
    try:
        await api.request("GET", path)
    except ApiError as error:
        assert error.status == 404
        return True
    return False


async def _deleted(api: KubeApi, path: str) -> bool:
    return await _gone(api, path) or "deletionTimestamp" in (await api.request("GET", path))["metadata"]


async def test_a_status_decided_on_an_old_version_is_refused(api: KubeApi, namespace: str) -> None:
    snapshot = await make(api, namespace)
    status = snapshot.status()
    after = await write_status(api, snapshot, status.model_copy(update={"phase": Phase.RUNNING}))
    assert after.status().phase is Phase.RUNNING
    with pytest.raises(ApiError) as refused:
        await write_status(api, snapshot, status.model_copy(update={"phase": Phase.FAILED}))
    assert (refused.value.status, refused.value.reason) == (409, "Conflict")


async def test_an_equal_status_is_not_sent(api: KubeApi, namespace: str) -> None:
    snapshot = await make(api, namespace)
    status = snapshot.status().model_copy(update={"phase": Phase.RUNNING})
    after = await write_status(api, snapshot, status)
    assert await write_status(api, after, after.status()) is after


async def test_no_action_on_an_old_status(api: KubeApi, namespace: str) -> None:
    old = await make(api, namespace)
    await write_status(api, old, old.status().model_copy(update={"phase": Phase.RUNNING}))
    path, uid = await _create_job(api, namespace, "wanted")
    decision = Decision(old.status(), (DeleteJob("wanted", uid),))
    with pytest.raises(ApiError) as refused:
        await apply(api, EventRecorder(api, "test"), old, old.resource(), decision, SETTINGS, lambda snapshot: None)
    assert (refused.value.status, refused.value.reason) == (409, "Conflict")
    assert not await _deleted(api, path)


async def test_an_action_on_the_newest_status_writes_nothing_of_it(api: KubeApi, namespace: str) -> None:
    made = await make(api, namespace)
    first = await write_status(api, made, made.status())
    again = await write_status(api, first, first.status(), always=True)
    assert again.version == first.version


async def test_an_existing_child_of_ours_is_adopted(api: KubeApi, namespace: str) -> None:
    ours = (await make(api, namespace)).resource()
    theirs = (await make(api, namespace, "other")).resource()
    collection = f"/api/v1/namespaces/{namespace}/configmaps"
    for _ in range(2):
        await create(api, collection, config_map_manifest("shared", ours, {"a": "b"}), ours.uid)
    with pytest.raises(NameTaken, match="ConfigMap shared exists and belongs to somebody else"):
        await create(api, collection, config_map_manifest("shared", theirs, {}), theirs.uid)


async def test_deleting_what_is_gone_or_replaced_is_no_error(api: KubeApi, namespace: str) -> None:
    await delete_job(api, namespace, DeleteJob("nothing", "uid"))
    path, before = await _create_job(api, namespace, "replaced")
    await delete_job(api, namespace, DeleteJob("replaced", before))
    await until(lambda: _gone(api, path))
    _, now = await _create_job(api, namespace, "replaced")
    await delete_job(api, namespace, DeleteJob("replaced", before))
    assert not await _deleted(api, path)
    await delete_job(api, namespace, DeleteJob("replaced", now))
    assert await _deleted(api, path)


async def test_the_same_event_again_is_counted(api: KubeApi, namespace: str) -> None:
    snapshot = await make(api, namespace)
    recorder = EventRecorder(api, "test")
    for _ in range(3):
        recorder.emit(snapshot, Event("StageRetried", "train failed"))
    recorder.emit(snapshot, Event("Converged", "after 2 iterations"))
    await recorder.close()
    events = (await api.request("GET", f"/api/v1/namespaces/{namespace}/events"))["items"]
    assert {(event["reason"], event["count"]) for event in events} == {("StageRetried", 3), ("Converged", 1)}


async def test_one_holder_of_a_lease_and_a_successor_at_once(api: KubeApi, namespace: str) -> None:
    first, second = (Lease(api, namespace, "operator", name) for name in ("first", "second"))
    await first.acquire()
    assert not await second.try_once()
    assert await first.try_once()
    await first.release()
    assert await second.try_once()
    assert not await first.try_once()


async def test_children_go_with_their_resource(api: KubeApi, namespace: str) -> None:
    snapshot = await make(api, namespace)
    collection = f"/api/v1/namespaces/{namespace}/configmaps"
    await create(api, collection, config_map_manifest("structures", snapshot.resource(), {}), snapshot.uid)
    await api.request("DELETE", f"{collection_path('FineTuneJob', namespace)}/silicon")

    async def gone() -> bool:
        items = (await api.request("GET", collection))["items"]
        return all(item["metadata"]["name"] != "structures" for item in items)

    # the garbage collector looks for new kinds every 30 s
    await until(gone, 60)


async def test_a_sweep_forgets_what_is_not_there_any_more(
    api: KubeApi, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pfd_operator.kube.gone.AFTER_SECONDS", 0.0)
    store = ResourceStore()
    gone: list[Key] = []
    kept = store.keep((await make(api, namespace, "kept")).body)
    deleted = store.keep((await make(api, namespace)).body)
    await api.request("DELETE", resource_path(deleted))
    Sweep(api, store, [namespace], gone.append).soon()
    await until(lambda: gone)
    assert (gone, store.get(deleted)) == ([deleted], None)
    assert store.get(kept) is not None

"""The children of a resource are those of its own namespace, and a look at one costs only its own."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from pfd_operator.kube import children as children_module
from pfd_operator.kube.api import KubeApi
from pfd_operator.kube.children import Children
from pfd_operator.kube.observe import CachedJob, with_pods
from pfd_operator.kube.resources import Key, Snapshot
from pfd_operator.kube.store import ResourceStore
from pfd_operator.plan.observed import Observed

NOW = datetime(2026, 1, 1, 1, tzinfo=UTC)
RESOURCE: dict[str, Any] = {
    "kind": "FineTuneJob",
    "metadata": {"namespace": "lab", "name": "silicon", "uid": "uid-1", "resourceVersion": "1"},
    "status": {"active": {"jobName": "silicon-uid--i001-train-a1"}},
}
OWNER = Snapshot(RESOURCE).as_owner
LABELS = {
    "pfd.dev/kind": "FineTuneJob",
    "pfd.dev/uid": "uid-1",
    "pfd.dev/iteration": "1",
    "pfd.dev/stage": "train",
    "pfd.dev/attempt": "1",
}


def owned(name: str, namespace: str, kind: str, owner: str, **parts: Any) -> dict[str, Any]:
    reference = {"kind": kind, "name": "silicon", "uid": owner, "controller": True}
    metadata = {"namespace": namespace, "name": name, "uid": f"{namespace}-{name}", "labels": LABELS}
    return {"metadata": metadata | {"ownerReferences": [reference], "resourceVersion": "5"}, **parts}


def job(namespace: str, uid: str = "job-1") -> dict[str, Any]:
    body = owned("silicon-uid--i001-train-a1", namespace, "FineTuneJob", "uid-1", spec={"parallelism": 1})
    body["metadata"]["uid"] = uid
    return body


def pod(namespace: str, name: str = "silicon-train-x") -> dict[str, Any]:
    running = {"name": "stage", "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}
    status = {"phase": "Running", "containerStatuses": [running]}
    return owned(name, namespace, "Job", "job-1", status=status)


class Server:
    """Has objects by the last part of their path; its watches tell nothing."""

    pages = KubeApi.pages

    def __init__(self, **objects: list[dict[str, Any]]) -> None:
        self.objects = objects

    def now(self) -> datetime:
        return NOW

    async def request(self, method: str, path: str, **_: Any) -> dict[str, Any]:
        return {"items": self.objects.get(path.rpartition("/")[2], []), "metadata": {"resourceVersion": "5"}}

    async def lines(self, *_: Any) -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""


class Cluster:
    """The children as an operator sees them, list after list."""

    def __init__(self, **objects: list[dict[str, Any]]) -> None:
        self.server = Server(**objects)
        self.looks: list[Key] = []
        self.store = ResourceStore()
        self.store.keep(RESOURCE)
        api = cast(KubeApi, self.server)
        self.children = Children(api, self.store, lambda key, seconds: self.looks.append(key))

    async def list(self, **objects: list[dict[str, Any]]) -> None:
        self.server.objects |= objects
        for informer in self.children.informers:
            await informer._list()


async def test_children_of_another_namespace_are_not_its_own() -> None:
    """Whoever knows a uid may write it into objects elsewhere."""
    cluster = Cluster(jobs=[job("else", "forged")], pods=[pod("else")])
    await cluster.list()
    seen = cluster.children.observed(OWNER, None)
    assert (seen.jobs, cluster.looks) == ((), [])
    await cluster.list(jobs=[job("lab"), job("else", "forged")], pods=[pod("lab"), pod("else", "forged")])
    seen = cluster.children.observed(OWNER, None)
    assert [each.uid for each in seen.jobs] == ["job-1"]
    assert [each.name for each in seen.jobs[0].pods] == ["silicon-train-x"]


async def test_the_time_of_gone_pods_outlives_the_operator() -> None:
    first = Cluster(jobs=[job("lab")], pods=[pod("lab")])
    await first.list()
    first.children.go_on_from(OWNER, "silicon-uid--i001-train-a1", 0)
    await first.list(pods=[])
    assert first.children.observed(OWNER, None).jobs[0].gone_pods_seconds == 3600
    # the status holds it by then, and another operator starts with that
    second = Cluster(jobs=[job("lab")], pods=[pod("lab", "another")])
    await second.list()
    for kept in (3600, 7200):
        second.children.go_on_from(OWNER, "silicon-uid--i001-train-a1", kept)
        assert second.children.observed(OWNER, None).jobs[0].gone_pods_seconds == kept
        (asked,) = (await second.children.asked("silicon", OWNER, Observed())).jobs
        assert asked.gone_pods_seconds == kept
        await second.list(pods=[])


async def test_a_pod_that_goes_elsewhere_costs_nothing_here() -> None:
    cluster = Cluster(jobs=[job("lab")], pods=[pod("else")])
    await cluster.list()
    await cluster.list(pods=[])
    assert cluster.children.observed(OWNER, None).jobs[0].gone_pods_seconds == 0


async def test_a_look_at_a_resource_joins_no_departed_jobs_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster()
    others = []
    for number in range(2, 7):
        metadata = {**RESOURCE["metadata"], "name": f"silicon-{number}", "uid": f"uid-{number}"}
        cluster.store.keep({**RESOURCE, "metadata": metadata})
        others.append(owned(f"train-{number}", "lab", "FineTuneJob", f"uid-{number}", spec={}))
    await cluster.list(jobs=[job("lab"), *others], pods=[pod("lab")])
    await cluster.list(jobs=[])
    joined: list[str] = []

    def join(found: CachedJob, pods: Any) -> Any:
        joined.append(found.observed.uid)
        return with_pods(found, pods)

    monkeypatch.setattr(children_module, "with_pods", join)
    (seen,) = cluster.children.observed(OWNER, None).jobs
    assert (seen.uid, seen.deleting, len(seen.pods), joined) == ("job-1", True, 1, ["job-1"])


async def test_the_time_of_pods_that_go_after_their_job_is_counted() -> None:
    cluster = Cluster(jobs=[job("lab")], pods=[pod("lab")])
    await cluster.list()
    await cluster.list(jobs=[])
    await cluster.list(pods=[])
    (seen,) = cluster.children.observed(OWNER, None).jobs
    assert (seen.deleting, seen.gone_pods_seconds) == (True, 3600)


async def test_a_job_made_again_under_its_name_while_the_watch_was_cut_has_gone_before() -> None:
    """Its pods are still on their way out, and their time counts."""
    cluster = Cluster(jobs=[job("lab")], pods=[pod("lab")])
    await cluster.list()
    await cluster.list(jobs=[job("lab", "job-2")])
    seen = {each.uid: each for each in cluster.children.observed(OWNER, None).jobs}
    assert seen.keys() == {"job-1", "job-2"}
    assert (seen["job-1"].deleting, len(seen["job-1"].pods), seen["job-2"].pods) == (True, 1, ())
    await cluster.list(pods=[])
    seen = {each.uid: each for each in cluster.children.observed(OWNER, None).jobs}
    assert (seen["job-1"].gone_pods_seconds, seen["job-2"].gone_pods_seconds) == (3600, 0)


async def test_what_cannot_be_read_is_ignored_when_the_server_is_asked(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever may create Jobs in a namespace may write our labels into them."""
    odd_job = owned("odd-uid--i001-train-a1", "lab", "FineTuneJob", "uid-1", spec={"backoffLimitPerIndex": 1})
    odd_job["metadata"]["ownerReferences"][0]["name"] = "odd"
    odd_pod = owned("odd-pod", "lab", "Job", "job-1", status={"conditions": [{}]})
    cluster = Cluster(jobs=[odd_job, job("lab")], pods=[odd_pod, pod("lab")])
    (asked,) = (await cluster.children.asked("silicon", OWNER, Observed())).jobs
    assert (asked.uid, [each.name for each in asked.pods]) == ("job-1", ["silicon-train-x"])
    for named in ("lab/odd-uid--i001-train-a1 of /apis/batch/v1", "lab/odd-pod of /api/v1"):
        assert re.search(f"{named}/namespaces/lab/[a-z]+ cannot be read and is ignored", caplog.text)


async def test_a_copy_of_a_job_is_neither_seen_nor_asked_for() -> None:
    """Somebody else's Job is not to be deleted, and what it finds is no result."""
    copied, its_pod = job("lab", "job-9"), pod("lab", "debug-x")
    copied["metadata"]["name"] = "debug-silicon-uid--i001-train-a1"
    its_pod["metadata"]["ownerReferences"][0] |= {"uid": "job-9", "name": copied["metadata"]["name"]}
    cluster = Cluster(jobs=[copied, job("lab")], pods=[its_pod, pod("lab")])
    await cluster.list()
    asked = await cluster.children.asked("silicon", OWNER, Observed())
    for seen in (cluster.children.observed(OWNER, None), asked):
        assert [(each.uid, [one.name for one in each.pods]) for each in seen.jobs] == [
            ("job-1", ["silicon-train-x"]),
        ]
    assert cluster.children.job("lab", copied["metadata"]["name"]) is None

"""A Job that the API server refuses shows in the conditions, in the server's words, until it is taken."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from pfd_operator.contract.result import Progress
from pfd_operator.kube.api import ApiError, KubeApi
from pfd_operator.kube.children import Children
from pfd_operator.kube.events import EventRecorder
from pfd_operator.kube.resources import Key, StatusUnreadable
from pfd_operator.kube.store import ResourceStore
from pfd_operator.plan.types import Settings
from pfd_operator.runtime.progress import INTERVAL_SECONDS, ProgressBoard
from pfd_operator.runtime.reconcile import Reconciler
from tests.merged import merged
from tests.unit.operator.resource_samples import SPEC

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEY = Key("FineTuneJob", "lab", "silicon")


class Server:
    """Holds one resource, and takes Jobs or refuses them."""

    def __init__(self) -> None:
        metadata = {"namespace": "lab", "name": "silicon", "uid": "uid-1", "resourceVersion": "1", "generation": 1}
        self.resource: dict[str, Any] = {"kind": "FineTuneJob", "metadata": metadata, "spec": SPEC, "status": {}}
        self.refusal: ApiError | None = None
        self.events: list[str] = []
        self.jobs = 0

    def now(self) -> datetime:
        return NOW

    async def request(self, method: str, path: str, body: Mapping[str, Any] | None = None, **_: Any) -> dict[str, Any]:
        if path.endswith("/events"):
            self.events.append((body or {})["reason"])
            return {"metadata": {"name": "event"}}
        if method == "GET":
            return {"metadata": {"ownerReferences": []}}
        if path.endswith("/status") and body is not None:
            version = str(int(self.resource["metadata"]["resourceVersion"]) + 1)
            metadata = self.resource["metadata"] | {"resourceVersion": version}
            self.resource = self.resource | {
                "metadata": metadata,
                "status": merged(self.resource["status"], body["status"]),
            }
        return self.resource

    async def pages(self, path: str, query: Mapping[str, str]) -> AsyncIterator[dict[str, Any]]:
        yield {"items": []}

    async def send(self, method: str, path: str, body: Mapping[str, Any], query: object = None) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.jobs += 1

    def conditions(self) -> dict[str, tuple[str, str, str]]:
        return {c["type"]: (c["status"], c["reason"], c["message"]) for c in self.resource["status"]["conditions"]}


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def reconciler(server: Server) -> Reconciler:
    api, store = cast(KubeApi, server), ResourceStore()
    store.keep(server.resource)
    children = Children(api, store, lambda key, seconds: None)
    settings = Settings(worker_image="worker", engine_images={})
    return Reconciler(api, store, children, ProgressBoard(), EventRecorder(api, "test"), settings)


@pytest.mark.parametrize(
    ("refusal", "event", "words"),
    [
        (ApiError(403, "Forbidden", "exceeded quota: count/jobs.batch"), "JobRefused", "exceeded quota"),
        (ApiError(422, "Invalid", "spec.template.spec.tolerations[0]"), "JobRefused", "tolerations[0]"),
        (
            ApiError(400, "BadRequest", 'strict decoding error: unknown field "tolerations[0].keys"'),
            "JobRefused",
            "keys",
        ),
        (ApiError(500, "InternalError", "failed calling webhook: quota.example.org"), "JobRefused", "webhook"),
        (ApiError(409, "AlreadyExists", "it exists"), "NameTaken", "belongs to somebody else"),
    ],
)
async def test_a_refusal_is_shown_until_the_job_is_taken(
    server: Server, reconciler: Reconciler, refusal: ApiError, event: str, words: str
) -> None:
    server.refusal = refusal
    for _ in range(2):
        with pytest.raises(Exception, match=r"quota|tolerations|somebody"):
            await reconciler.reconcile(KEY)
    await reconciler.recorder.close()
    # told after what was decided before
    assert server.events[:2] == ["Started", event]
    for kind, value in (("Stuck", "True"), ("Progressing", "False")):
        status, reason, message = server.conditions()[kind]
        assert (status, reason, words in message) == (value, "JobRefused", True)
    server.refusal = None
    # the Job is taken, and what spoke of the refusal is looked at at once
    assert await reconciler.reconcile(KEY) == 0
    await reconciler.reconcile(KEY)
    assert server.jobs
    assert server.conditions()["Stuck"][0] == "False"
    assert server.conditions()["Progressing"][:2] == ("True", "StageRunning")


@pytest.mark.parametrize(
    "refusal", [ApiError(403, "Forbidden", "exceeded quota"), ApiError(0, "NoAnswer", "the server is away")]
)
async def test_what_was_decided_is_told_once_also_if_a_child_is_refused(
    server: Server, reconciler: Reconciler, caplog: pytest.LogCaptureFixture, refusal: ApiError
) -> None:
    caplog.set_level("INFO", "pfd_operator")
    server.refusal = refusal
    for _ in range(2):
        with pytest.raises(ApiError):
            await reconciler.reconcile(KEY)
    await reconciler.recorder.close()
    assert server.events.count("Started") == 1
    assert caplog.messages.count("Started: the job starts") == 1


async def test_nothing_is_told_of_a_status_that_was_not_written(
    server: Server, reconciler: Reconciler, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def conflict(*_: Any, **__: Any) -> Any:
        raise ApiError(409, "Conflict", "the object has been modified")

    monkeypatch.setattr(server, "request", conflict)
    with pytest.raises(ApiError):
        await reconciler.reconcile(KEY)
    monkeypatch.undo()
    await reconciler.recorder.close()
    assert server.events == []


async def test_a_status_that_may_not_be_written_is_no_job_that_is_refused(
    server: Server, reconciler: Reconciler, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def forbidden(method: str, path: str, *_: Any, **__: Any) -> Any:
        raise ApiError(403, "Forbidden", f"cannot {method} {path}")

    monkeypatch.setattr(server, "request", forbidden)
    with pytest.raises(ApiError, match=r"cannot PATCH .*/status"):
        await reconciler.reconcile(KEY)
    monkeypatch.undo()
    await reconciler.recorder.close()
    assert (server.events, reconciler.refused_jobs) == ([], {})


async def test_no_answer_is_no_refusal(server: Server, reconciler: Reconciler) -> None:
    server.refusal = ApiError(503, "ServiceUnavailable", "later")
    for _ in range(2):
        with pytest.raises(ApiError):
            await reconciler.reconcile(KEY)
    assert server.conditions()["Stuck"][0] == "False"


async def test_refusal_and_progress_are_forgotten_with_their_resource(server: Server, reconciler: Reconciler) -> None:
    server.refusal = ApiError(403, "Forbidden", "exceeded quota")
    with pytest.raises(ApiError):
        await reconciler.reconcile(KEY)
    reconciler.progress.report(KEY, server.resource["status"]["active"]["jobName"], Progress(percent=1))
    reconciler.store.remove(KEY, "uid-1")
    await reconciler.reconcile(KEY)
    assert (reconciler.refused_jobs, len(reconciler.progress)) == ({}, 0)


async def test_a_report_that_is_withheld_is_looked_at_when_it_is_due(server: Server, reconciler: Reconciler) -> None:
    """Another look may have come before the one that it asked for, and taken its place."""
    await reconciler.reconcile(KEY)
    job = server.resource["status"]["active"]["jobName"]
    for percent in (50, 99):
        reconciler.progress.report(KEY, job, Progress(percent=percent))
        again = await reconciler.reconcile(KEY)
    assert again is not None and 0 < again <= INTERVAL_SECONDS


async def test_a_spec_that_is_refused_while_a_job_runs_says_how_to_stop_it(
    server: Server, reconciler: Reconciler
) -> None:
    await reconciler.reconcile(KEY)
    name = server.resource["status"]["active"]["jobName"]
    metadata = server.resource["metadata"] | {"resourceVersion": "9", "generation": 2}
    server.resource |= {"metadata": metadata, "spec": SPEC | {"suspend": True, "seed": -1}}
    reconciler.store.keep(server.resource)
    for _ in range(2):
        await reconciler.reconcile(KEY)
    _, reason, message = server.conditions()["Progressing"]
    assert reason == "SpecInvalid" and message.startswith("spec.seed: ")
    assert f"`kubectl delete job {name}` stops it" in message
    await reconciler.recorder.close()
    assert server.events.count("SpecInvalid") == 1


@pytest.mark.parametrize("spec", [SPEC, SPEC | {"seed": -1}], ids=["spec that can be read", "spec that cannot"])
async def test_a_status_of_a_newer_operator_is_told_and_left_as_it_is(
    server: Server, reconciler: Reconciler, spec: dict[str, Any]
) -> None:
    server.resource |= {"spec": spec, "status": {"phase": "Running", "active": {"stage": "polish"}}}
    server.resource["metadata"] |= {"resourceVersion": "9"}
    reconciler.store.keep(server.resource)
    before = server.resource
    with pytest.raises(StatusUnreadable, match=r"^status\.active\.\w+ cannot be read: a newer operator wrote it"):
        await reconciler.reconcile(KEY)
    await reconciler.recorder.close()
    assert (server.events, server.resource) == (["StatusUnreadable"], before)

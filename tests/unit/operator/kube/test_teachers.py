"""What a DistillJob learns of the FineTuneJob that it names as its teacher."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, cast

import pytest
from pydantic import ValidationError

from pfd_operator.api.conditions import Phase
from pfd_operator.api.distill import FineTuneJobRef
from pfd_operator.api.job import S3Artifacts
from pfd_operator.contract.selection import Apart
from pfd_operator.kube.api import ApiError, KubeApi
from pfd_operator.kube.resources import Key, Snapshot
from pfd_operator.kube.store import ResourceStore
from pfd_operator.kube.teachers import teacher_of
from pfd_operator.plan.observed import ObservedTeacher

SPEC: dict[str, Any] = {
    "systems": [{"name": "a", "structures": {"uri": "s3://pfd/a.xyz"}}],
    "artifacts": {"s3": {"bucket": "pfd", "prefix": "silicon"}},
}
STATUS: dict[str, Any] = {
    "phase": "Converged",
    "model": {"uri": "s3://pfd/silicon/best.pt", "iteration": 2},
    "inputs": {stage: {"digest": digit * 64} for stage, digit in (("prepare", "a"), ("train", "b"))},
}


def resource(kind: str, name: str, spec: dict[str, Any], status: dict[str, Any]) -> dict[str, Any]:
    metadata = {"namespace": "lab", "name": name, "uid": name, "resourceVersion": "1"}
    return {"kind": kind, "metadata": metadata, "spec": spec, "status": status}


class Server:
    """Has one resource, or does not say whether it has."""

    def __init__(self, answer: dict[str, Any] | ApiError) -> None:
        self.answer = answer
        self.asked: list[tuple[str, str]] = []

    async def request(self, method: str, path: str) -> dict[str, Any]:
        self.asked.append((method, path))
        if isinstance(self.answer, ApiError):
            raise self.answer
        return self.answer


GONE = ApiError(404, "NotFound", "not found")


def observed(server: Server, store: ResourceStore, student: Mapping[str, Any]) -> ObservedTeacher | None:
    named = {"teacher": {"fineTuneJob": {"name": "silicon"}}}
    snapshot = Snapshot(resource("DistillJob", "light", named, dict(student)))
    return asyncio.run(teacher_of(cast(KubeApi, server), store, snapshot))


def seen(
    spec: dict[str, Any] = SPEC, student: Mapping[str, Any] = MappingProxyType({}), **status: Any
) -> ObservedTeacher | None:
    server, store = Server(GONE), ResourceStore()
    store.keep(resource("FineTuneJob", "silicon", spec, STATUS | status))
    teacher = observed(server, store, student)
    assert server.asked == [], "what is held is not asked for"
    return teacher


def test_one_that_the_watch_has_not_told_of_yet_is_asked_for() -> None:
    server, store = Server(resource("FineTuneJob", "silicon", SPEC, STATUS)), ResourceStore()
    assert observed(server, store, {}) == seen()
    assert server.asked == [("GET", "/apis/pfd.dev/v1alpha1/namespaces/lab/finetunejobs/silicon")]
    assert len(store) == 0, "the watch will bring it as something new"
    assert observed(Server(GONE), store, {}) is None


def test_a_server_that_does_not_answer_does_not_say_that_there_is_none() -> None:
    with pytest.raises(ApiError):
        observed(Server(ApiError(0, "NoAnswer", "no answer")), ResourceStore(), {})


def test_one_that_has_ended_is_gone_on_with() -> None:
    teacher = seen()
    assert teacher is not None and teacher.record is not None
    assert teacher.record.model_uri == "s3://pfd/silicon/best.pt"
    assert teacher.record.starts_uri == f"s3://pfd/silicon/stages/{'a' * 64}/manifest.json"
    assert teacher.record.systems == ["a"]
    assert (teacher.record.phase, teacher.record.iteration) == (Phase.CONVERGED, 2)
    assert teacher.record.reference is None
    engine = {"labeling": {"engine": {"xtb": {}}}}
    by_hold_out = seen(SPEC | engine | {"holdout": {"data": [{"uri": "s3://pfd/test.extxyz"}]}})
    assert by_hold_out is not None
    assert by_hold_out.record is not None
    assert by_hold_out.record.reference == "GFN1-xTB, and given data"
    assert teacher.apart is Apart.TRAJECTORIES
    apart = seen(SPEC | {"holdout": {"apart": "Structures"}})
    assert apart is not None and apart.apart is Apart.STRUCTURES


@pytest.mark.parametrize("name", ["..", "silicon/status", "silicon?watch=1"])
def test_a_name_that_would_make_another_address_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="should match pattern"):
        FineTuneJobRef(name=name)


def test_a_student_that_has_started_goes_on_without_it() -> None:
    assert seen(student={"phase": "Running", "startedAt": "2026-01-01T00:00:00Z"}) is None
    failed = {"phase": "Failed", "finishedAt": "2026-01-01T00:00:00Z"}
    assert seen(student=failed) == seen(), "it failed because its teacher had no model, and may start yet"


@pytest.mark.parametrize(
    ("restart", "reads"),
    [
        ({"fromIteration": 0, "id": "anew"}, True),
        ({"fromIteration": 1, "id": "anew"}, False),
        ({"fromIteration": 0, "id": "done"}, False),
    ],
)
def test_a_student_that_is_to_begin_anew_reads_it_again(restart: dict[str, Any], reads: bool) -> None:
    spec = {"teacher": {"fineTuneJob": {"name": "silicon"}}, "restart": restart}
    status = {"phase": "Running", "startedAt": "2026-01-01T00:00:00Z", "restartId": "done"}
    key = Snapshot(resource("DistillJob", "light", spec, status)).teacher_key
    assert key == (Key("FineTuneJob", "lab", "silicon") if reads else None)


def test_one_that_runs_is_waited_for() -> None:
    s3 = S3Artifacts(bucket="pfd", prefix="silicon")
    assert seen(phase="Running") == ObservedTeacher(Phase.RUNNING, s3=s3, apart=Apart.TRAJECTORIES, systems=("a",))
    assert seen({}, phase="Running") == ObservedTeacher(Phase.RUNNING)
    assert seen(phase="Unheard") == ObservedTeacher(Phase.PENDING)


def test_what_is_wrong_in_the_spec_of_one_that_has_ended_does_not_matter_to_its_student() -> None:
    broken = {"pods": {"train": {"resources": {"limits": {"nvidia.com/gpu": "1k"}}}}}
    assert seen(SPEC | broken) == seen()


def test_what_is_needed_and_cannot_be_read_is_named() -> None:
    teacher = seen(SPEC | {"artifacts": {"s3": {}}})
    assert teacher is not None
    assert (teacher.phase, teacher.record) == (Phase.CONVERGED, None)
    assert teacher.end == "its spec cannot be read (spec.artifacts.s3.bucket: Field required)"

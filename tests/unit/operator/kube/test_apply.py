"""Children are created so that the server refuses what it does not know instead of dropping it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import pytest

from pfd_operator.contract.stage import StageSpec
from pfd_operator.kube.api import KubeApi
from pfd_operator.kube.apply import _in_order, apply, delete_job
from pfd_operator.kube.events import EventRecorder
from pfd_operator.kube.resources import Snapshot
from pfd_operator.plan.types import (
    CreateConfigMap,
    CreateJob,
    CreateService,
    Decision,
    DeleteJob,
    PlannedJob,
    Settings,
)
from tests.unit.operator.resource_samples import SPEC

METADATA = {"namespace": "lab", "name": "silicon", "uid": "uid-1", "resourceVersion": "1"}
RESOURCE = {"kind": "FineTuneJob", "metadata": METADATA, "spec": SPEC}


class Server:
    """Takes everything."""

    def __init__(self) -> None:
        self.created: list[tuple[str, Mapping[str, str] | None]] = []
        self.bodies: list[Mapping[str, Any]] = []

    async def request(self, *_: Any, **__: Any) -> dict[str, Any]:
        return RESOURCE

    async def send(
        self, method: str, path: str, body: Mapping[str, Any], query: Mapping[str, str] | None = None
    ) -> None:
        self.created.append((path.rpartition("/")[2], query))
        self.bodies.append(body)


def test_what_has_ended_is_deleted_after_the_next_job_is_created() -> None:
    """A Job that may not be deleted must not keep a stage from starting."""
    snapshot = Snapshot(RESOURCE)
    live, ended = DeleteJob("a", "1"), DeleteJob("b", "2", ended=True)
    job = CreateJob(PlannedJob("c", snapshot.resource(), cast(StageSpec, None), "worker"))
    actions = [ended, job, CreateConfigMap("structures", {}), live]
    ordered = [action for action, _ in _in_order((action, {}) for action in actions)]
    assert ordered == [live, CreateConfigMap("structures", {}), job, ended]


async def test_every_child_is_created_strictly() -> None:
    server, snapshot = Server(), Snapshot(RESOURCE)
    api = cast(KubeApi, server)
    decision = Decision(snapshot.status(), (CreateConfigMap("structures", {}), CreateService("silicon")))
    settings = Settings(worker_image="worker", engine_images={})
    await apply(
        api, EventRecorder(api, "test"), snapshot, snapshot.resource(), decision, settings, lambda snapshot: None
    )
    strict = {"fieldValidation": "Strict"}
    assert server.created == [("configmaps", strict), ("services", strict)]


@pytest.mark.parametrize(("ended", "policy"), [(False, "Foreground"), (True, "Background")])
async def test_a_job_is_deleted_by_name_and_uid(ended: bool, policy: str) -> None:
    """By labels its copies would go, too: whoever looks for a fault makes some."""
    server = Server()
    await delete_job(cast(KubeApi, server), "lab", DeleteJob("silicon-a1", "uid-9", ended))
    assert server.created == [("silicon-a1", None)]
    assert server.bodies == [{"propagationPolicy": policy, "preconditions": {"uid": "uid-9"}}]

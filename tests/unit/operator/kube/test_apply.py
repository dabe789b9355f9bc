"""Children are created so that the server refuses what it does not know instead of dropping it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from tests.unit.operator.resource_samples import SPEC

from pfd_operator.kube.api import KubeApi
from pfd_operator.kube.apply import apply
from pfd_operator.kube.events import EventRecorder
from pfd_operator.kube.resources import Snapshot
from pfd_operator.plan.types import CreateConfigMap, CreateService, Decision, Settings

METADATA = {"namespace": "lab", "name": "silicon", "uid": "uid-1", "resourceVersion": "1"}
RESOURCE = {"kind": "FineTuneJob", "metadata": METADATA, "spec": SPEC}


class Server:
    """Takes everything."""

    def __init__(self) -> None:
        self.created: list[tuple[str, Mapping[str, str] | None]] = []

    async def request(self, *_: Any, **__: Any) -> dict[str, Any]:
        return RESOURCE

    async def send(
        self, method: str, path: str, body: Mapping[str, Any], query: Mapping[str, str] | None = None
    ) -> None:
        self.created.append((path.rpartition("/")[2], query))


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

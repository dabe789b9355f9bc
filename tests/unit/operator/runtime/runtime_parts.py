"""An operator that is not started, and bodies of resources as its watch brings them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pfd_operator.kube.api import KubeApi
from pfd_operator.plan.types import Settings
from pfd_operator.runtime.operator import Operator
from pfd_operator.runtime.settings import RuntimeSettings


def settings_at(server: str, folder: Path, **fields: Any) -> RuntimeSettings:
    """Settings of an operator whose API server is at an address."""
    path = folder / "kubeconfig"
    path.write_text(
        f"""{{"apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{{"name": "c", "cluster": {{"server": "{server}"}}}}],
        "users": [{{"name": "u", "user": {{"token": "t"}}}}],
        "contexts": [{{"name": "c", "context": {{"cluster": "c", "user": "u"}}}}]}}"""
    )
    return RuntimeSettings(planner=Settings(worker_image="worker", engine_images={}), kubeconfig=path, **fields)


async def operator_at(server: str, folder: Path, namespaces: tuple[str, ...] = ()) -> Operator:
    settings = settings_at(server, folder, namespaces=namespaces)
    return Operator(await KubeApi.connect(settings.kubeconfig), settings, lambda: None)


def body(name: str, kind: str = "FineTuneJob", **status: Any) -> dict[str, Any]:
    metadata = {"namespace": "lab", "name": name, "uid": f"{kind}-{name}", "resourceVersion": "1"}
    return {"kind": kind, "metadata": metadata, "spec": {}, "status": status}

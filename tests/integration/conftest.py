"""A real kube-apiserver with the Job controller and the garbage collector; no kubelet: pods are played by the tests.

PFD_INTEGRATION_KUBECONFIG points to one that runs already; without it the embedded control plane is started.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from pfd_operator.kube.api import KubeApi
from pfd_operator.kube.children import Children
from pfd_operator.kube.events import EventRecorder
from pfd_operator.kube.store import ResourceStore
from pfd_operator.plan.types import Settings
from pfd_operator.runtime.progress import ProgressBoard
from pfd_operator.runtime.reconcile import Reconciler
from tests.control_plane import ControlPlane, define_kinds
from tests.free_ports import free_port


@pytest.fixture(scope="session")
def kubeconfig() -> Iterator[Path]:
    given = os.environ.get("PFD_INTEGRATION_KUBECONFIG")
    if given:
        yield Path(given)
        return
    plane = ControlPlane(free_port(in_a_row=7))
    try:
        plane.up()
        yield plane.kubeconfig
    finally:
        plane.down()


@pytest.fixture
def audit_log(kubeconfig: Path) -> Path:
    log = kubeconfig.parent / "log" / "audit.log"
    if not log.exists():
        pytest.skip("the control plane that was given has no audit log")
    return log


@pytest.fixture(scope="session")
def _definitions(kubeconfig: Path) -> None:
    """Both kinds are served."""

    async def install() -> None:
        client = await KubeApi.connect(kubeconfig)
        await define_kinds(client)
        await client.close()

    asyncio.run(install())


@pytest.fixture
async def api(kubeconfig: Path, _definitions: None) -> AsyncIterator[KubeApi]:
    client = await KubeApi.connect(kubeconfig)
    yield client
    await client.close()


@pytest.fixture
async def namespace(api: KubeApi) -> AsyncIterator[str]:
    name = f"test-{secrets.token_hex(4)}"
    await api.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    yield name
    await api.request("DELETE", f"/api/v1/namespaces/{name}")


@pytest.fixture
def reconciler(api: KubeApi, namespace: str) -> Reconciler:
    """With caches that nobody fills unasked."""
    store = ResourceStore()
    children = Children(api, store, lambda key, seconds: None, (namespace,))
    settings = Settings(worker_image="worker", engine_images={})
    return Reconciler(api, store, children, ProgressBoard(), EventRecorder(api, "test"), settings)

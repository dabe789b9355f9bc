"""A real kube-apiserver with the Job controller and the garbage collector; no kubelet: pods are played by the tests.

PFD_INTEGRATION_KUBECONFIG points to one that runs already; without it the embedded control plane is started.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pfd_operator.kube.api import MERGE_PATCH, ApiError, KubeApi
from tests.free_ports import free_port

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    given = os.environ.get("PFD_INTEGRATION_KUBECONFIG")
    if given:
        yield Path(given)
        return
    state = tmp_path_factory.mktemp("control-plane")
    binary = subprocess.run(
        [str(ROOT / "hack/devcluster/build.sh")], check=True, capture_output=True, text=True
    ).stdout.split()[-1]
    arguments = ["--control-plane-only", "--state", str(state)]
    up = [binary, "up", *arguments, "--audit", "--port", str(free_port(in_a_row=7))]
    try:
        subprocess.run(up, check=True, timeout=180)
        yield state / "kubeconfig"
    finally:
        subprocess.run([binary, "down", *arguments], check=True, timeout=60)


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
        await _install_definitions(client)
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


async def _install_definitions(api: KubeApi) -> None:
    collection = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    for path in sorted((ROOT / "crds").glob("*.yaml")):
        definition: dict[str, Any] = yaml.safe_load(path.read_text())
        name = definition["metadata"]["name"]
        try:
            await api.request("POST", collection, definition)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
            # a cluster that was given may have an older one
            await api.request("PATCH", f"{collection}/{name}", definition, content_type=MERGE_PATCH)
        for _ in range(100):
            status = (await api.request("GET", f"{collection}/{name}")).get("status") or {}
            conditions = status.get("conditions") or []
            if any(item["type"] == "Established" and item["status"] == "True" for item in conditions):
                break
            await asyncio.sleep(0.05)
        else:
            raise AssertionError(f"{name} is not served: {conditions}")

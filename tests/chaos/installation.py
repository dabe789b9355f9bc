"""What the chart installs, on a control plane: definitions, the operator's account, and no more rights than it has."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
from pathlib import Path
from typing import Any

import yaml

from pfd_operator.kube.api import ApiError, KubeApi
from pfd_operator.kube.resources import collection_path
from tests.chart.chart_rendering import render
from tests.control_plane import ROOT, ControlPlane

NAMESPACE = "chaos"
OPERATOR_NAMESPACE, RELEASE = "pfd-system", "pfd"
OPERATOR_USER = f"system:serviceaccount:{OPERATOR_NAMESPACE}:{RELEASE}"
_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_COLLECTIONS = {
    "ServiceAccount": f"/api/v1/namespaces/{OPERATOR_NAMESPACE}/serviceaccounts",
    "ClusterRole": f"{_RBAC}/clusterroles",
    "ClusterRoleBinding": f"{_RBAC}/clusterrolebindings",
    "Role": f"{_RBAC}/namespaces/{OPERATOR_NAMESPACE}/roles",
    "RoleBinding": f"{_RBAC}/namespaces/{OPERATOR_NAMESPACE}/rolebindings",
}


async def install(api: KubeApi) -> str:
    """Install everything but the Deployment; return a token of the operator's account."""
    for path in sorted((ROOT / "crds").glob("*.yaml")):
        definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        await api.request("POST", definitions, yaml.safe_load(path.read_text()))
    for name in (NAMESPACE, OPERATOR_NAMESPACE):
        await api.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    for document in render():
        collection = _COLLECTIONS.get(document["kind"])
        if collection is not None and document["metadata"]["name"].startswith(RELEASE):
            await api.request("POST", collection, document)
    tokens = f"{_COLLECTIONS['ServiceAccount']}/{RELEASE}/token"
    answer: dict[str, Any] = await api.request("POST", tokens, {"spec": {"expirationSeconds": 6 * 3600}})
    async with asyncio.timeout(30):
        for kind in ("FineTuneJob", "DistillJob"):
            await _served(api, collection_path(kind, NAMESPACE))
    return str(answer["status"]["token"])


async def _served(api: KubeApi, path: str) -> None:
    while True:
        with contextlib.suppress(ApiError):
            await api.request("GET", path)
            return
        await asyncio.sleep(0.1)


def server_of(plane: ControlPlane) -> tuple[str, ssl.SSLContext]:
    """Return the API server's address and how to trust it."""
    cluster = _config(plane)["clusters"][0]["cluster"]
    authority = cluster.get("certificate-authority")
    context = ssl.create_default_context(cafile=authority) if authority else ssl.create_default_context()
    if "certificate-authority-data" in cluster:
        context.load_verify_locations(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    return str(cluster["server"]), context


def kubeconfig_through(plane: ControlPlane, server: str, token: str) -> Path:
    """Write the operator's kubeconfig: another address, and its own token."""
    config = _config(plane)
    config["clusters"][0]["cluster"] = {"server": server}
    config["users"] = [{"name": config["users"][0]["name"], "user": {"token": token}}]
    path = plane.state / "operator.kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path


def _config(plane: ControlPlane) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load(plane.kubeconfig.read_text())
    return config

"""What the chart installs, on a control plane: definitions, the operator's account, and no more rights than it has."""

from __future__ import annotations

import base64
import ssl
from pathlib import Path

import yaml

from pfd_operator.kube.api import KubeApi
from tests.chart_rendering import render
from tests.control_plane import ControlPlane, account_kubeconfig, define_kinds

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


async def install(api: KubeApi) -> None:
    """Install everything but the Deployment."""
    await define_kinds(api)
    for name in (NAMESPACE, OPERATOR_NAMESPACE):
        await api.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    for document in render():
        collection = _COLLECTIONS.get(document["kind"])
        if collection is not None and document["metadata"]["name"].startswith(RELEASE):
            await api.request("POST", collection, document)


def server_of(plane: ControlPlane) -> tuple[str, ssl.SSLContext]:
    """Return the API server's address and how to trust it."""
    cluster = yaml.safe_load(plane.kubeconfig.read_text())["clusters"][0]["cluster"]
    authority = cluster.get("certificate-authority")
    context = ssl.create_default_context(cafile=authority) if authority else ssl.create_default_context()
    if "certificate-authority-data" in cluster:
        context.load_verify_locations(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    return str(cluster["server"]), context


async def kubeconfig_through(api: KubeApi, plane: ControlPlane, server: str) -> Path:
    """Write the operator's kubeconfig: another address, and its own token."""
    account, path = f"{OPERATOR_NAMESPACE}/{RELEASE}", plane.state / "operator.kubeconfig"
    return await account_kubeconfig(api, plane.kubeconfig, account, path, {"server": server})

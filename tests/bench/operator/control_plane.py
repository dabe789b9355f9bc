"""The benchmark's control plane: definitions, a namespace and the operator's user on it, and the sizes in etcd."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import aiohttp

from pfd_operator.kube.api import KubeApi
from tests.control_plane import ControlPlane, account_kubeconfig, define_kinds

NAMESPACE = "bench"
SERVICE_ACCOUNT = "pfd-operator"


class BenchControlPlane(ControlPlane):
    """A control plane with what the benchmarks need on it."""

    @property
    def operator_kubeconfig(self) -> Path:
        """Of the operator: a user of its own, by whom its requests are known in the audit log."""
        return self.state / "operator.kubeconfig"

    async def install(self, api: KubeApi) -> None:
        """Install the definitions, the namespace, and the operator's user.

        The rights of that user are an administrator's: what they cost to check does not depend on how many there are.
        """
        await define_kinds(api)
        await api.request("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        account = {"kind": "ServiceAccount", "namespace": NAMESPACE, "name": SERVICE_ACCOUNT}
        accounts = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts"
        await api.request("POST", accounts, {"metadata": {"name": SERVICE_ACCOUNT}})
        binding = {
            "metadata": {"name": SERVICE_ACCOUNT},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [account],
        }
        await api.request("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding)
        await account_kubeconfig(api, self.kubeconfig, f"{NAMESPACE}/{SERVICE_ACCOUNT}", self.operator_kubeconfig)

    async def etcd_sizes(self, prefix: str) -> dict[str, int]:
        """Return the size in bytes of every key with its value in etcd, of the keys that start with `prefix`."""
        url = f"http://127.0.0.1:{self.port + 1}/v3/kv/range"
        body = {"key": _base64(prefix), "range_end": _base64(prefix[:-1] + chr(ord(prefix[-1]) + 1))}
        async with aiohttp.ClientSession() as session, session.post(url, json=body) as response:
            answer: dict[str, Any] = await response.json()
        pairs = [(base64.b64decode(item["key"]), base64.b64decode(item["value"])) for item in answer.get("kvs", ())]
        return {key.decode(): len(key) + len(value) for key, value in pairs}


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()

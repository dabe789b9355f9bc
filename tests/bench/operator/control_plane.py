"""A control plane of its own: etcd, API server with an audit log, Job controller, garbage collector."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from pfd_operator.kube.api import ApiError, KubeApi
from pfd_operator.kube.resources import collection_path

ROOT = Path(__file__).parents[3]
NAMESPACE = "bench"
SERVICE_ACCOUNT = "pfd-operator"
CONTROLLER_QPS = 300
"""Requests per second of the Job controller (20 as shipped): with 20 it alone takes minutes to make 2000 pods."""


class ControlPlane:
    """One control plane, up until `down`.

    Parameters
    ----------
    port
        Of the API server; the six after it are used too.
    """

    def __init__(self, port: int) -> None:
        self.state = Path(tempfile.mkdtemp(prefix="pfd-bench-"))
        self._port = port
        self._controllers: subprocess.Popen[bytes] | None = None
        build = subprocess.run([str(ROOT / "hack/devcluster/build.sh")], check=True, capture_output=True, text=True)
        self._binary = build.stdout.split()[-1]

    @property
    def kubeconfig(self) -> Path:
        """Of an administrator."""
        return self.state / "kubeconfig"

    @property
    def operator_kubeconfig(self) -> Path:
        """Of the operator: a user of its own, by whom its requests are known in the audit log."""
        return self.state / "operator.kubeconfig"

    def audit_logs(self) -> list[Path]:
        """Return the audit log's files, the oldest first."""
        return [*sorted((self.state / "log").glob("audit-*.log")), self.state / "log/audit.log"]

    def up(self) -> None:
        """Start it; the controllers with a higher request rate."""
        self._devcluster("up", "--audit")
        self._restart_controllers()

    def down(self) -> None:
        """Stop it and delete everything."""
        if self._controllers is not None:
            self._controllers.terminate()
            self._controllers.wait(30)
        self._devcluster("down", "--purge")
        shutil.rmtree(self.state, ignore_errors=True)

    async def install(self, api: KubeApi) -> None:
        """Install the definitions, the namespace, and the operator's user.

        The rights of that user are an administrator's: what they cost to check does not depend on how many there are.
        """
        for path in sorted((ROOT / "crds").glob("*.yaml")):
            definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
            await api.request("POST", definitions, yaml.safe_load(path.read_text()))
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
        answer = await api.request(
            "POST", f"{accounts}/{SERVICE_ACCOUNT}/token", {"spec": {"expirationSeconds": 6 * 3600}}
        )
        config = yaml.safe_load(self.kubeconfig.read_text())
        config["users"] = [{"name": config["users"][0]["name"], "user": {"token": answer["status"]["token"]}}]
        self.operator_kubeconfig.write_text(yaml.safe_dump(config))
        await self._served(api)

    async def etcd_sizes(self, prefix: str) -> dict[str, int]:
        """Return the size in bytes of every key with its value in etcd, of the keys that start with `prefix`."""
        url = f"http://127.0.0.1:{self._port + 1}/v3/kv/range"
        body = {"key": _base64(prefix), "range_end": _base64(prefix[:-1] + chr(ord(prefix[-1]) + 1))}
        async with aiohttp.ClientSession() as session, session.post(url, json=body) as response:
            answer: dict[str, Any] = await response.json()
        pairs = [(base64.b64decode(item["key"]), base64.b64decode(item["value"])) for item in answer.get("kvs", ())]
        return {key.decode(): len(key) + len(value) for key, value in pairs}

    async def _served(self, api: KubeApi) -> None:
        async with asyncio.timeout(30):
            while True:
                with contextlib.suppress(ApiError):
                    await api.request("GET", collection_path("FineTuneJob", NAMESPACE))
                    return
                await asyncio.sleep(0.1)

    def _devcluster(self, *arguments: str) -> None:
        selection = ["--control-plane-only", "--state", str(self.state), "--port", str(self._port)]
        subprocess.run([self._binary, *arguments, *selection], check=True, timeout=180, stdout=subprocess.DEVNULL)

    def _restart_controllers(self) -> None:
        record = json.loads((self.state / "run/kube-controller-manager.json").read_text())
        os.kill(record["pid"], 15)
        with contextlib.suppress(ProcessLookupError):
            for _ in range(100):
                os.kill(record["pid"], 0)
                time.sleep(0.1)
        faster = [*record["args"], f"--kube-api-qps={CONTROLLER_QPS}", f"--kube-api-burst={2 * CONTROLLER_QPS}"]
        with (self.state / "log/controllers.log").open("wb") as log:
            self._controllers = subprocess.Popen(
                ["kube-controller-manager", *faster], executable=self._binary, stdout=log, stderr=log
            )


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@contextlib.asynccontextmanager
async def connected(plane: ControlPlane) -> AsyncIterator[KubeApi]:
    """Connect as the administrator."""
    api = await KubeApi.connect(plane.kubeconfig)
    try:
        yield api
    finally:
        await api.close()

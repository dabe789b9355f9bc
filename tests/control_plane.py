"""A control plane of its own: etcd, API server with an audit log, Job controller, garbage collector."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import yaml

from pfd_operator.kube.api import MERGE_PATCH, ApiError, KubeApi
from pfd_operator.kube.resources import collection_path
from tests.until import until

ROOT = Path(__file__).parents[1]
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
        self.state = Path(tempfile.mkdtemp(prefix="pfd-control-plane-"))
        self.port = port
        self._controllers: subprocess.Popen[bytes] | None = None
        self._binary = devcluster()

    @property
    def kubeconfig(self) -> Path:
        """Of an administrator."""
        return self.state / "kubeconfig"

    def audit_logs(self) -> list[Path]:
        """Return the audit log's files, the oldest first."""
        return [*sorted((self.state / "log").glob("audit-*.log")), self.state / "log/audit.log"]

    def up(self) -> None:
        """Start it."""
        self._devcluster("up", "--audit")

    def down(self) -> None:
        """Stop it and delete everything."""
        if self._controllers is not None:
            self._controllers.terminate()
            self._controllers.wait(30)
        self._devcluster("down", "--purge")
        shutil.rmtree(self.state, ignore_errors=True)

    def _devcluster(self, *arguments: str) -> None:
        selection = ["--control-plane-only", "--state", str(self.state), "--port", str(self.port)]
        subprocess.run([self._binary, *arguments, *selection], check=True, timeout=180, stdout=subprocess.DEVNULL)

    def restart_controllers(self) -> None:
        """Give the controllers a higher request rate."""
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


def devcluster() -> str:
    """Return the program that starts control planes, built if need be."""
    build = subprocess.run([str(ROOT / "hack/devcluster/build.sh")], check=True, capture_output=True, text=True)
    return build.stdout.split()[-1]


@contextlib.asynccontextmanager
async def connected(plane: ControlPlane) -> AsyncIterator[KubeApi]:
    """Connect as the administrator."""
    api = await KubeApi.connect(plane.kubeconfig)
    try:
        yield api
    finally:
        await api.close()


async def define_kinds(api: KubeApi) -> None:
    """Install both definitions, and wait until their kinds are served."""
    collection = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    for path in sorted((ROOT / "crds").glob("*.yaml")):
        definition = yaml.safe_load(path.read_text())
        try:
            await api.request("POST", collection, definition)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
            # a cluster that was given may have an older one
            there = f"{collection}/{definition['metadata']['name']}"
            await api.request("PATCH", there, definition, content_type=MERGE_PATCH)
        kind = definition["spec"]["names"]["kind"]
        await until(lambda kind=kind: _served(api, kind), 30, f"the kind {kind}")


async def _served(api: KubeApi, kind: str) -> bool:
    try:
        await api.request("GET", collection_path(kind, "default"))
    except ApiError:
        return False
    return True


async def account_kubeconfig(
    api: KubeApi, kubeconfig: Path, account: str, path: Path, cluster: dict[str, str] | None = None
) -> Path:
    """Write a kubeconfig with the token of an account (namespace/name), and perhaps for another address."""
    namespace, _, name = account.partition("/")
    tokens = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
    answer = await api.request("POST", tokens, {"spec": {"expirationSeconds": 6 * 3600}})
    config = yaml.safe_load(kubeconfig.read_text())
    config["users"] = [{"name": config["users"][0]["name"], "user": {"token": answer["status"]["token"]}}]
    config["clusters"][0]["cluster"] = cluster or config["clusters"][0]["cluster"]
    path.write_text(yaml.safe_dump(config))
    return path

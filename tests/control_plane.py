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

from pfd_operator.kube.api import KubeApi

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
        build = subprocess.run([str(ROOT / "hack/devcluster/build.sh")], check=True, capture_output=True, text=True)
        self._binary = build.stdout.split()[-1]

    @property
    def kubeconfig(self) -> Path:
        """Of an administrator."""
        return self.state / "kubeconfig"

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

    def _devcluster(self, *arguments: str) -> None:
        selection = ["--control-plane-only", "--state", str(self.state), "--port", str(self.port)]
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


@contextlib.asynccontextmanager
async def connected(plane: ControlPlane) -> AsyncIterator[KubeApi]:
    """Connect as the administrator."""
    api = await KubeApi.connect(plane.kubeconfig)
    try:
        yield api
    finally:
        await api.close()

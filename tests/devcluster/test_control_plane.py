"""The embedded cluster's control plane: up, up again, repair after a crash, down, down after a crash.

Runs a control plane of its own, in a directory and on ports of its own; it touches no other cluster.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.control_plane import devcluster
from tests.free_ports import free_port

COMPONENTS = ["etcd", "kube-apiserver", "kube-controller-manager"]

pytestmark = pytest.mark.timeout(1800)


class ControlPlane:
    """One control plane, driven as a user drives it."""

    def __init__(self, program: str, state: Path, port: int) -> None:
        self.program = program
        self.state = state
        self.port = port

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        selection = ["--control-plane-only", "--state", str(self.state), "--port", str(self.port)]
        command = [self.program, *arguments, *selection]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        if check and done.returncode != 0:
            pytest.fail(f"devcluster {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done

    def kubectl(self, *arguments: str) -> str:
        command = [self.program, "kubectl", "--state", str(self.state), "--", *arguments]
        # The caller's own choice of cluster must not matter.
        environment = os.environ | {"KUBECONFIG": "/nonexistent/kubeconfig"}
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)
        if done.returncode != 0:
            pytest.fail(f"{' '.join(command)}: {done.stderr}")
        return done.stdout

    def pid(self, component: str) -> int:
        return int(json.loads((self.state / "run" / f"{component}.json").read_text())["pid"])

    def processes(self) -> list[str]:
        """Command lines of everything that carries this cluster's mark."""
        mark = f"DEVCLUSTER_OWNER={self.state}".encode()
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (process / "environ").read_bytes().split(b"\0"):
                    found.append((process / "cmdline").read_text())
            except OSError:
                continue
        return found


@pytest.fixture(scope="module")
def program() -> str:
    return devcluster()


@pytest.fixture
def control_plane(program: str, tmp_path: Path) -> Iterator[ControlPlane]:
    plane = ControlPlane(program, tmp_path / "state", free_port(in_a_row=7))
    yield plane
    plane.run("down", "--purge", check=False)
    assert plane.processes() == []


def test_up_is_idempotent_and_down_leaves_nothing(control_plane: ControlPlane) -> None:
    control_plane.run("up")
    before = [control_plane.pid(name) for name in COMPONENTS]
    assert "gitVersion: v1.34" in control_plane.kubectl("version", "-o", "yaml").split("serverVersion")[1]

    again = control_plane.run("up")
    assert again.stdout.count("already running") == len(COMPONENTS)
    assert [control_plane.pid(name) for name in COMPONENTS] == before
    assert control_plane.run("status").stdout.count("healthy") == len(COMPONENTS)

    control_plane.run("down", "--purge")
    assert control_plane.processes() == []
    assert not control_plane.state.exists()
    assert control_plane.run("down").returncode == 0


@pytest.mark.parametrize("victim", COMPONENTS)
def test_up_repairs_a_killed_component_and_keeps_objects(control_plane: ControlPlane, victim: str) -> None:
    control_plane.run("up")
    control_plane.kubectl("create", "configmap", "kept", "--from-literal=a=b")
    os.kill(control_plane.pid(victim), signal.SIGKILL)
    assert control_plane.run("status", check=False).returncode == 1

    control_plane.run("up")
    assert control_plane.kubectl("get", "configmap", "kept", "-o", "jsonpath={.data.a}") == "b"


def test_down_after_the_records_are_lost(control_plane: ControlPlane) -> None:
    control_plane.run("up")
    for record in (control_plane.state / "run").iterdir():
        record.unlink()
    assert len(control_plane.processes()) == len(COMPONENTS)
    control_plane.run("down")
    assert control_plane.processes() == []


def test_a_taken_port_is_named(control_plane: ControlPlane) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", control_plane.port))
        other.listen()
        refused = control_plane.run("up", check=False)
    assert refused.returncode == 1
    assert f"port {control_plane.port} is taken" in refused.stderr


def test_a_component_that_cannot_start_is_named_with_its_log(control_plane: ControlPlane) -> None:
    control_plane.state.mkdir(parents=True)
    (control_plane.state / "etcd").write_text("a file where etcd needs a directory")
    refused = control_plane.run("up", check=False)
    assert refused.returncode == 1
    assert "etcd ended by itself" in refused.stderr
    assert str(control_plane.state / "log" / "etcd.log") in refused.stderr


def test_who_waits_for_the_lock_says_so(control_plane: ControlPlane) -> None:
    lock = control_plane.state.with_name("state.lock")
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        command = [control_plane.program, "up", "--control-plane-only", "--state", str(control_plane.state)]
        with pytest.raises(subprocess.TimeoutExpired) as waited:
            subprocess.run(command, capture_output=True, timeout=3, check=False)
    assert str(lock).encode() in (waited.value.stderr or b"")
    assert not (control_plane.state / "cluster.json").exists()


def test_audit_log_says_who_did_what(control_plane: ControlPlane) -> None:
    control_plane.run("up", "--audit")
    control_plane.kubectl("create", "configmap", "audited")
    lines = (control_plane.state / "log" / "audit.log").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    created = [e for e in events if e["verb"] == "create" and e["objectRef"].get("resource") == "configmaps"]
    assert any(e["user"]["username"] == "admin" for e in created)


def test_two_side_by_side(control_plane: ControlPlane, program: str, tmp_path: Path) -> None:
    control_plane.run("up")
    other = ControlPlane(program, tmp_path / "other", free_port(in_a_row=7))
    try:
        other.run("up")
        other.kubectl("create", "namespace", "only-here")
        assert "only-here" not in control_plane.kubectl("get", "namespaces")
    finally:
        other.run("down", "--purge")
    assert control_plane.run("status").returncode == 0

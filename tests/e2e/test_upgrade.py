"""The chart is upgraded, with another worker image, or uninstalled while a job runs."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import drive
import pytest

from tests.cache import PROGRAMS

NAMESPACE, RELEASE = "pfd-e2e", "pfd-operator"
ROOT = Path(__file__).resolve().parents[2]
SOCKET = os.environ.get("CONTAINERD_SOCKET", "/run/pfd-devcluster/containerd.sock")


def _helm(*arguments: str) -> str:
    command = [str(PROGRAMS / "helm"), *arguments, "--namespace", drive.SYSTEM_NAMESPACE]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _upgrade(worker: str) -> None:
    chart = str(ROOT / "charts" / "pfd-operator")
    _helm("upgrade", RELEASE, chart, "--reuse-values", "--set", f"images.worker={worker}", "--wait", "--timeout", "3m")


@pytest.fixture
def images() -> Iterator[tuple[str, str]]:
    """The installed worker image and the same under another tag; the first is installed again at the end."""
    if not Path(SOCKET).exists():
        pytest.skip("another tag of an image needs the embedded cluster's containerd")
    old = json.loads(_helm("get", "values", RELEASE, "--output", "json"))["images"]["worker"]
    new = f"{old}-next"
    tag = ["ctr", "--address", SOCKET, "--namespace", "k8s.io", "images", "tag", "--force", old, new]
    subprocess.run(tag, check=True, capture_output=True)
    yield old, new
    _upgrade(old)


def _worker_images(name: str) -> dict[tuple[int, str], set[str]]:
    """Return the worker images of the Jobs that are still there, by iteration and stage."""
    listed = drive.kubectl("get", "jobs", "--namespace", NAMESPACE, "-l", f"pfd.dev/job={name}", "-o", "json")
    found: dict[tuple[int, str], set[str]] = {}
    for job in json.loads(listed)["items"]:
        labels, pod = job["metadata"]["labels"], job["spec"]["template"]["spec"]
        containers = [*pod.get("initContainers", []), *pod["containers"]]
        position = int(labels["pfd.dev/iteration"]), labels["pfd.dev/stage"]
        found[position] = {each["image"] for each in containers if "worker" in each["image"]}
    return found


@pytest.mark.chaos
@pytest.mark.timeout(900)
def test_a_job_goes_on_under_the_next_version(submit: Callable[..., str], images: tuple[str, str]) -> None:
    old, new = images

    def longer_training(spec: dict[str, Any]) -> None:
        spec["training"] = {"steps": 1500, "checkpointSeconds": 5}

    name = submit("upgraded", longer_training)
    deadline = time.monotonic() + 300
    while (active := drive.finetunejob(name, NAMESPACE).get("status", {}).get("active") or {}).get("stage") != "train":
        assert time.monotonic() < deadline, drive.kubectl("describe", "finetunejob", name, "-n", NAMESPACE)
        time.sleep(0.5)
    training = active["jobName"]
    _upgrade(new)
    assert (drive.finetunejob(name, NAMESPACE)["status"]["active"] or {}).get("jobName") == training
    status = drive.wait_for_phase(name, NAMESPACE, drive.TERMINAL, 500)["status"]
    assert status["phase"] == "Converged", drive.kubectl("describe", "finetunejob", name, "-n", NAMESPACE)
    positions = [(each["iteration"], each["stage"]) for each in status["stages"]]
    assert len(positions) == len(set(positions)) == 9
    assert {each["attempts"] for each in status["stages"]} == {1}
    assert (status["labels"]["paid"], status["labels"]["wasted"]) == (12, 0)
    by_position = _worker_images(name)
    assert by_position[(0, "train")] == {old}
    assert by_position[(1, "train")] == {new}


@pytest.fixture
def reinstalled(tmp_path: Path) -> Iterator[None]:
    """Install again at the end what a test uninstalls."""
    values = tmp_path / "values.json"
    values.write_text(_helm("get", "values", RELEASE, "--output", "json"))
    yield
    chart = str(ROOT / "charts" / "pfd-operator")
    _helm("upgrade", "--install", RELEASE, chart, "--values", str(values), "--wait", "--timeout", "3m")


@pytest.mark.chaos
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("reinstalled")
def test_uninstalling_leaves_the_job_and_nothing_that_hangs(submit: Callable[..., str]) -> None:
    name = submit("left")
    drive.wait_for_phase(name, NAMESPACE, ("Running",), 60)
    _helm("uninstall", RELEASE, "--wait", "--timeout", "3m")
    assert drive.finetunejob(name, NAMESPACE)["status"]["phase"] == "Running"
    # no operator is there to lift a finalizer
    drive.kubectl("delete", "finetunejob", name, "--namespace", NAMESPACE, "--timeout=30s")
    deadline = time.monotonic() + 120
    while left := drive.kubectl(
        "get", "jobs,pods", "--namespace", NAMESPACE, "-l", f"pfd.dev/job={name}", "-o", "name"
    ):
        assert time.monotonic() < deadline, left
        time.sleep(1)

"""The same short job while pods are deleted and the operator is killed: same end, no label paid twice."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import drive
import pytest

NAMESPACE = "pfd-e2e"


def _pods(selector: str, namespace: str = NAMESPACE) -> list[dict[str, Any]]:
    listed = drive.kubectl("get", "pods", "--namespace", namespace, "-l", selector, "-o", "json")
    items: list[dict[str, Any]] = json.loads(listed)["items"]
    return items


def _live_doubles(pods: list[dict[str, Any]]) -> dict[str, set[str]]:
    """Return the (iteration, stage) for which two Jobs have pods that have not ended; one list is one instant."""
    live: dict[str, set[str]] = defaultdict(set)
    for pod in pods:
        if pod["status"]["phase"] not in ("Succeeded", "Failed"):
            labels = pod["metadata"]["labels"]
            live[f"{labels['pfd.dev/iteration']}/{labels['pfd.dev/stage']}"].add(labels["job-name"])
    return {key: names for key, names in live.items() if len(names) > 1}


def _delete_pod(selector: str, namespace: str = NAMESPACE) -> bool:
    running = [pod["metadata"]["name"] for pod in _pods(selector, namespace) if pod["status"]["phase"] == "Running"]
    if not running:
        return False
    drive.kubectl("delete", "pod", running[0], "--namespace", namespace, "--grace-period=5", "--wait=false")
    return True


def _jobs(selector: str) -> list[dict[str, Any]]:
    listed = drive.kubectl("get", "jobs", "--namespace", NAMESPACE, "-l", selector, "-o", "json")
    items: list[dict[str, Any]] = json.loads(listed)["items"]
    return items


def _suspend_job(name: str, suspended: bool) -> None:
    patch = json.dumps({"spec": {"suspend": suspended}})
    drive.kubectl("patch", "job", name, "--namespace", NAMESPACE, "--type=merge", "-p", patch)


@pytest.mark.chaos
@pytest.mark.timeout(1800)
def test_killed_operator_and_deleted_pods_change_nothing(submit: Callable[..., str]) -> None:
    def longer_training(spec: dict[str, Any]) -> None:
        # long enough that the pod is deleted while it trains, though progress is told every 10 s only
        spec["training"] = {"steps": 2000, "checkpointSeconds": 5}

    name = submit("faults", longer_training)
    operator_killed: set[tuple[int, str]] = set()
    pods_deleted: set[str] = set()
    deadline = time.monotonic() + 1500
    while True:
        status = drive.finetunejob(name, NAMESPACE).get("status", {})
        if status.get("phase") in drive.TERMINAL:
            break
        assert time.monotonic() < deadline, drive.kubectl("describe", "finetunejob", name, "-n", NAMESPACE)
        assert not _live_doubles(_pods(f"pfd.dev/job={name}"))
        active = status.get("active")
        if active is not None:
            position = (active["iteration"], active["stage"])
            if position not in operator_killed and active["state"] == "Created":
                operator_killed.add(position)
                selector = "app.kubernetes.io/name=pfd-operator"
                drive.kubectl(
                    "delete", "pod", "-n", drive.SYSTEM_NAMESPACE, "-l", selector, "--grace-period=0", "--force"
                )
            wanted = active["stage"] == "label" or (active["stage"] == "train" and active.get("percent", 0) >= 30)
            if wanted and active["stage"] not in pods_deleted:
                job = f"pfd.dev/job={name},pfd.dev/stage={active['stage']}"
                if _delete_pod(job):
                    pods_deleted.add(active["stage"])
        time.sleep(0.5)

    assert status["phase"] == "Converged", status
    assert pods_deleted == {"label", "train"}
    assert len(operator_killed) >= 7
    positions = [(each["iteration"], each["stage"]) for each in status["stages"]]
    assert len(positions) == len(set(positions)) == 9
    # what the kill cut off may be computed again and is reported as wasted; nothing finished is paid for twice
    assert status["labels"]["paid"] == 12
    with drive.object_store() as s3:
        prefix = drive.finetunejob(name, NAMESPACE)["spec"]["artifacts"]["s3"]["prefix"]
        trained = [each["digest"] for each in status["stages"] if each["stage"] == "train"]
        found = [drive.stage_manifest(s3, prefix, digest)["result"]["outcome"] for digest in trained]
    assert max(int(each["resumedFromStep"]) for each in found) > 0, "the deleted training started from step 0 again"


@pytest.mark.chaos
@pytest.mark.timeout(900)
def test_a_queue_preempts_a_training_that_goes_on_when_admitted_again(submit: Callable[..., str]) -> None:
    """Kueue's part, Job.spec.suspend, is played: it needs nothing else of a Job."""

    def queued(spec: dict[str, Any]) -> None:
        spec["queue"] = {"name": "gpus"}
        spec["training"] = {"steps": 2000, "checkpointSeconds": 5}
        spec["budget"] = {"maxIterations": 1, "maxLabels": 12}

    name = submit("queued", queued)
    preempted: set[str] = set()
    said: set[str] = set()
    deadline = time.monotonic() + 800
    while True:
        status = drive.finetunejob(name, NAMESPACE).get("status", {})
        if status.get("phase") in drive.TERMINAL:
            break
        assert time.monotonic() < deadline, drive.kubectl("describe", "finetunejob", name, "-n", NAMESPACE)
        said |= {item["reason"] for item in status.get("conditions", ()) if item["type"] == "Progressing"}
        active = status.get("active") or {}
        training = active.get("stage") == "train" and active.get("percent", 0) >= 30
        if training and not preempted:
            _suspend_job(active["jobName"], True)
            preempted.add(active["jobName"])
        for job in _jobs(f"pfd.dev/job={name},kueue.x-k8s.io/queue-name=gpus"):
            ended = not job["status"].get("active") and not job["status"].get("terminating")
            if job["spec"]["suspend"] and ended and not job["status"].get("failed"):
                _suspend_job(job["metadata"]["name"], False)
        time.sleep(0.5)

    assert "Queued" in said
    assert preempted
    trained = [each for each in status["stages"] if each["stage"] == "train"]
    with drive.object_store() as s3:
        prefix = drive.finetunejob(name, NAMESPACE)["spec"]["artifacts"]["s3"]["prefix"]
        found = drive.stage_manifest(s3, prefix, trained[0]["digest"])["result"]["outcome"]
    assert int(found["resumedFromStep"]) > 0, "the preempted training started from step 0 again"
    assert status["labels"]["wasted"] == 0

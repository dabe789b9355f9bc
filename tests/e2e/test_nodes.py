"""Two pods that train together, by gloo."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from typing import Any

import drive
import numpy as np
import pytest

NAMESPACE = "pfd-e2e"
STEPS = 400
pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1500)]


def _change(nodes: int, batch_size: int, steps: int = STEPS) -> Callable[[dict[str, Any]], None]:
    def change(spec: dict[str, Any]) -> None:
        spec["training"] = {"steps": steps, "checkpointSeconds": 5, "nodes": nodes, "batchSize": batch_size}
        spec["budget"] = {"maxIterations": 1, "maxLabels": 20}
        spec["pods"]["train"]["resources"] = {"requests": {"cpu": "500m"}, "limits": {"cpu": 1, "memory": "4Gi"}}

    return change


def _pods(name: str) -> dict[str, dict[str, Any]]:
    """Return the pods of the trainings by the index in their Job."""
    selector = f"pfd.dev/job={name},pfd.dev/stage=train"
    listed = json.loads(drive.kubectl("get", "pods", "--namespace", NAMESPACE, "-l", selector, "-o", "json"))
    index = "batch.kubernetes.io/job-completion-index"
    return {pod["metadata"]["annotations"].get(index, ""): pod for pod in listed["items"]}


def _trained(name: str) -> tuple[dict[str, Any], list[dict[str, Any]], list[np.ndarray]]:
    """Return the status, and of each training its result and its learning curve."""
    status = drive.wait_for_phase(name, NAMESPACE, drive.TERMINAL, 900)["status"]
    assert status["phase"] == "Converged", drive.kubectl("describe", "finetunejob", name, "-n", NAMESPACE)
    prefix = drive.finetunejob(name, NAMESPACE)["spec"]["artifacts"]["s3"]["prefix"]
    results, curves = [], []
    with drive.object_store() as s3:
        for digest in (each["digest"] for each in status["stages"] if each["stage"] == "train"):
            manifest = drive.stage_manifest(s3, prefix, digest)
            key = f"{prefix}/{manifest['files']['lcurve.out']['key']}"
            text = s3.get_object(Bucket=drive.BUCKET, Key=key)["Body"].read().decode()
            results.append(manifest["result"])
            curves.append(np.genfromtxt(io.StringIO(text), names=True))
    return status, results, curves


def test_two_pods_learn_what_one_learns_from_the_same_batches(submit: Callable[..., str]) -> None:
    # labels and all that comes before training are shared
    _, one, one_curve = _trained(submit("one-node", _change(nodes=1, batch_size=2), under="nodes"))
    status, two, two_curve = _trained(submit("two-nodes", _change(nodes=2, batch_size=1), under="nodes"))
    assert set(_pods("two-nodes")) == {"0", "1"}
    # iteration 0 is shared up to its training; iteration 1 explores with another model
    assert (status["labels"]["reused"], status["labels"]["paid"]) == (8, 4)
    for alone, together in zip(one_curve, two_curve, strict=True):
        assert together["step"][-1] == alone["step"][-1] == STEPS
        late = slice(len(alone) // 2, None)
        forces = [float(np.sqrt(np.mean(curve["rmse_f_trn"][late] ** 2))) for curve in (alone, together)]
        print(f"force RMSE of the training batches, second half: one pod {forces[0]:.4f}, two {forces[1]:.4f} eV/Å")
        assert forces[1] == pytest.approx(forces[0], rel=0.25)
    for results in zip(one, two, strict=True):
        found = [result["outcome"]["errors"]["holdout"]["forceRmse"] for result in results]
        print(f"hold-out: one pod {found[0]:.4f}, two {found[1]:.4f} eV/Å")
        assert found[1] == pytest.approx(found[0], rel=0.25)


def test_when_one_node_is_lost_both_go_on_from_the_checkpoint(submit: Callable[..., str]) -> None:
    name = submit("lost-node", _change(nodes=2, batch_size=1, steps=3 * STEPS), under="nodes")
    deadline = time.monotonic() + 600
    while True:
        assert time.monotonic() < deadline, drive.kubectl("describe", "finetunejob", name, "-n", NAMESPACE)
        active = drive.finetunejob(name, NAMESPACE).get("status", {}).get("active") or {}
        if active.get("stage") == "train" and (active.get("percent") or 0) >= 40:
            break
        time.sleep(0.5)
    lost = _pods(name)["1"]["metadata"]["name"]
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": lost, "namespace": NAMESPACE}}
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/{lost}/eviction"
    drive.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(body))
    status, results, _ = _trained(name)
    assert max(each["attempts"] for each in status["stages"] if each["stage"] == "train") == 2
    assert max(int(result["outcome"]["resumedFromStep"]) for result in results) > 0
    conditions = {each["type"]: each for each in status["conditions"]}
    assert conditions["Ready"]["status"] == "True"

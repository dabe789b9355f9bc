"""End-to-end tests: a real cluster with the operator installed, real pods, real DFT labels."""

from __future__ import annotations

import copy
import os
import secrets
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "hack" / "demo"))

import drive  # noqa: E402

NAMESPACE = "pfd-e2e"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in Path(item.path).parents:
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session", autouse=True)
def cluster() -> Iterator[None]:
    """An empty namespace, and the pre-trained model in the store."""
    assert os.environ.get("KUBECONFIG"), "run by `make e2e-short`, which starts the cluster and installs the operator"
    drive.kubectl("delete", "distilljobs,finetunejobs", "--all", "--namespace", NAMESPACE, "--wait=true")
    with drive.object_store() as s3:
        s3.upload_file(str(ROOT / "examples/pretrained/dpa2-group-iv.pt"), drive.BUCKET, "models/dpa2-group-iv.pt")
    yield


@pytest.fixture(scope="session")
def short_job() -> dict[str, Any]:
    """The silicon example cut down: cheap labels, few frames, few steps, one iteration."""
    manifest: dict[str, Any] = yaml.safe_load((ROOT / "examples" / "silicon" / "finetune.yaml").read_text())
    spec = manifest["spec"]
    spec["systems"][0]["perturb"]["supercell"] = [1, 1, 1]
    spec["aimd"] |= {"trajectories": 2, "steps": 2}
    spec["holdout"] = {"frames": 4}
    spec["exploration"]["stages"][0] |= {"temperaturesKelvin": [300], "steps": 60, "sampleEvery": 10, "replicas": 2}
    spec["exploration"]["stages"][0]["pressuresBar"] = [1]
    spec["selection"] = {"framesPerIteration": 4}
    engine = spec["labeling"]["engine"]["abinit"]
    engine |= {"cutoffEv": 150, "kSpacing": 1.2, "kShifted": False}
    spec["labeling"]["framesPerPod"] = 3
    spec["training"] = {"steps": 100, "checkpointSeconds": 5}
    spec["convergence"] = {"forceRMSE": 5.0, "consecutive": 1}
    spec["budget"] = {"maxIterations": 2, "maxLabels": 20}
    return manifest


@pytest.fixture(scope="session")
def short_distillation() -> dict[str, Any]:
    """The silicon example's distillation cut down: two small rounds, a tiny student, limits that anything meets."""
    manifest: dict[str, Any] = yaml.safe_load((ROOT / "examples" / "silicon" / "distill.yaml").read_text())
    spec = manifest["spec"]
    spec["exploration"]["stages"][0] |= {"temperaturesKelvin": [300], "pressuresBar": [1], "steps": 60, "replicas": 2}
    spec["holdout"] = {"frames": 4}
    spec["selection"] = {"framesPerIteration": 6}
    spec["training"] = {"steps": 100, "checkpointSeconds": 5}
    # a student of 100 steps is no good: the speed-up is what is asked of it
    spec["acceptance"] = {"forceRMSE": 50, "speedup": 0.01, "sizes": [32], "stableMDPicoseconds": 0.002}
    spec["budget"] = {"maxIterations": 2, "maxLabels": 40}
    return manifest


@pytest.fixture(scope="session")
def prefix() -> str:
    """Of this run of the suite: labels and stages of an earlier one would hide what is paid."""
    return f"e2e/{secrets.token_hex(4)}"


@pytest.fixture(scope="session")
def distill(short_distillation: dict[str, Any], prefix: str) -> Callable[..., str]:
    """Apply a variant of the short distillation of a FineTuneJob; returns its name."""

    def apply(name: str, teacher: str, change: Callable[[dict[str, Any]], None] | None = None) -> str:
        manifest = copy.deepcopy(short_distillation)
        manifest["metadata"]["name"] = name
        manifest["spec"]["teacher"]["fineTuneJob"]["name"] = teacher
        manifest["spec"]["artifacts"]["s3"]["prefix"] = f"{prefix}/{name}"
        if change is not None:
            change(manifest["spec"])
        drive.apply(manifest, NAMESPACE)
        return name

    return apply


@pytest.fixture(scope="session")
def submit(short_job: dict[str, Any], prefix: str) -> Callable[..., str]:
    """Apply a variant of the short job; returns its name. Those `under` one name share labels and stages."""

    def apply(name: str, change: Callable[[dict[str, Any]], None] | None = None, under: str = "") -> str:
        manifest = copy.deepcopy(short_job)
        manifest["metadata"]["name"] = name
        manifest["spec"]["artifacts"]["s3"]["prefix"] = f"{prefix}/{under or name}"
        if change is not None:
            change(manifest["spec"])
        drive.apply(manifest, NAMESPACE)
        return name

    return apply


@pytest.fixture(scope="session")
def short_status(submit: Callable[..., str]) -> dict[str, Any]:
    """Status of the short job at its end. It is the first of those under its name, whichever test asks first."""
    ended: dict[str, Any] = drive.wait_for_phase(submit("short"), NAMESPACE, drive.TERMINAL, 1200)["status"]
    return ended

"""A small FineTuneJob and a DistillJob that it teaches: their specs, and bodies of such resources."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SPEC: dict[str, Any] = {
    "model": {"uri": "s3://pfd/models/tiny.pt"},
    "systems": [{"name": "diamond", "structures": {"inline": "2\n\nSi 0 0 0\nSi 1 1 1\n"}}],
    "aimd": {"trajectories": 1, "steps": 2},
    "holdout": {"frames": 4},
    "exploration": {"stages": [{"temperaturesKelvin": [300, 900]}], "pods": 2},
    "selection": {"framesPerIteration": 3},
    "labeling": {"engine": {"xtb": {}}, "parallelism": 2, "framesPerPod": 2},
    "convergence": {"forceRMSE": 0.08, "consecutive": 2},
    "budget": {"maxIterations": 4, "maxLabels": 40},
    "artifacts": {"s3": {"bucket": "pfd", "prefix": "silicon", "endpoint": "http://s3:7070"}},
}
DISTILL_SPEC: dict[str, Any] = {
    "teacher": {"fineTuneJob": {"name": "silicon"}},
    "exploration": SPEC["exploration"],
    "holdout": {"frames": 4},
    "selection": {"framesPerIteration": 3},
    "labeling": {"framesPerPod": 2, "parallelism": 2},
    "acceptance": {"forceRMSE": 0.08, "speedup": 6},
    "budget": {"maxIterations": 4, "maxLabels": 40},
    "artifacts": SPEC["artifacts"],
}


def distill_body(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "apiVersion": "pfd.dev/v1alpha1",
        "kind": "DistillJob",
        "metadata": {"name": name},
        "spec": DISTILL_SPEC | changes,
    }


def job_body(name: str, labels: Mapping[str, str] | None = None, **changes: Any) -> dict[str, Any]:
    return {
        "apiVersion": "pfd.dev/v1alpha1",
        "kind": "FineTuneJob",
        "metadata": {"name": name, "labels": dict(labels or {})},
        "spec": SPEC | changes,
    }


BODIES = {"FineTuneJob": job_body, "DistillJob": distill_body}

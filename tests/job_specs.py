"""Specs of a small FineTuneJob and of a DistillJob that it teaches."""

from __future__ import annotations

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

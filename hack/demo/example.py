"""An example's folder: what it applies, and the images its jobs run in.   example.py FOLDER prints the images."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml
from drive import kubectl

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
JOB_KINDS = ("FineTuneJob", "DistillJob")


def objects(folder: Path) -> list[dict[str, Any]]:
    """Return the objects of an example, as `kubectl apply -k` has them: jobs last, teachers before students."""
    if not (folder / "kustomization.yaml").is_file():
        known = ", ".join(sorted(path.parent.name for path in EXAMPLES.glob("*/kustomization.yaml")))
        raise SystemExit(f"{folder} is no example: it has no kustomization.yaml. Examples in {EXAMPLES}: {known}")
    found = list(yaml.safe_load_all(kubectl("kustomize", str(folder))))
    return sorted(found, key=lambda each: JOB_KINDS.index(each["kind"]) if is_job(each) else -1)


def is_job(manifest: dict[str, Any]) -> bool:
    """Tell jobs from what they need."""
    return manifest["kind"] in JOB_KINDS


def images(jobs: list[dict[str, Any]]) -> list[str]:
    """Return the images to build for these jobs, by their names in hack/images/images.tsv."""
    # the chart's own: the worker makes the bucket
    needed = {"operator", "worker", "s3"}
    for job in jobs:
        spec = job["spec"]
        if "abinit" in spec.get("labeling", {}).get("engine", {}):
            needed.add("abinit")
        models = [spec.get("model", {}), spec.get("teacher", {})]
        if any(runs_sevennet(model) for model in models):
            needed.add("worker-sevennet")
    return sorted(needed)


def runs_sevennet(model: dict[str, Any]) -> bool:
    """Say whether a model or teacher is SevenNet's, by name or as a calculator."""
    calculator = model.get("calculator", {}).get("calculator", "")
    return model.get("pretrained", "").startswith("7net") or calculator.startswith("sevenn.")


def with_values(job: dict[str, Any], assignments: list[str]) -> dict[str, Any]:
    """Set fields of a job, each given as path=value, e.g. spec.selection.representativeFraction=1."""
    for assignment in assignments:
        path, _, value = assignment.partition("=")
        *parents, last = path.split(".")
        place = job
        for key in parents:
            place = place.setdefault(key, {})
        place[last] = yaml.safe_load(value)
    return job


if __name__ == "__main__":
    print(*images([each for each in objects(Path(sys.argv[1])) if is_job(each)]))

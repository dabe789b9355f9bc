"""An example's folder: what it applies, and the images its jobs run in.   example.py FOLDER prints the images."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml
from drive import kubectl

from pfd_operator.api.distill import DistillJobSpec
from pfd_operator.api.finetune import FineTuneJobSpec
from pfd_operator.contract.model_source import ModelFamily

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
SPECS: dict[str, type[FineTuneJobSpec | DistillJobSpec]] = {
    "FineTuneJob": FineTuneJobSpec,
    "DistillJob": DistillJobSpec,
}


def objects(folder: Path) -> list[dict[str, Any]]:
    """Return the objects of an example, as `kubectl apply -k` has them: jobs last, teachers before students."""
    if not (folder / "kustomization.yaml").is_file():
        known = ", ".join(sorted(path.parent.name for path in EXAMPLES.glob("*/kustomization.yaml")))
        raise SystemExit(f"{folder} is no example: it has no kustomization.yaml. Examples in {EXAMPLES}: {known}")
    found = list(yaml.safe_load_all(kubectl("kustomize", str(folder))))
    return sorted(found, key=lambda each: list(SPECS).index(each["kind"]) if is_job(each) else -1)


def is_job(manifest: dict[str, Any]) -> bool:
    """Tell jobs from what they need."""
    return manifest["kind"] in SPECS


def images(jobs: list[dict[str, Any]]) -> list[str]:
    """Return the images to build for these jobs, by their names in hack/images/images.tsv."""
    # the chart's own: the worker makes the bucket
    needed = {"operator", "worker", "s3"}
    for job in jobs:
        spec = SPECS[job["kind"]].model_validate(job["spec"])
        if isinstance(spec, FineTuneJobSpec):
            source, calculator = spec.model, None
            needed |= {"abinit"} if spec.labeling.engine.abinit is not None else set()
        else:
            source, calculator = spec.teacher, spec.teacher.calculator
        by_calculator = calculator is not None and calculator.calculator.startswith("sevenn.")
        if by_calculator or source.family is ModelFamily.SEVENNET:
            needed.add("worker-sevennet")
    return sorted(needed)


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

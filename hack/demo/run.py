"""make demo: P → F → D for silicon, followed to its end, with a table and build/demo/summary.json."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import yaml
from drive import BUCKET, TERMINAL, apply, job, kubectl, object_store
from summary import summarise, table

ROOT = Path(__file__).resolve().parents[2]
NAMESPACE = "pfd-demo"
EXAMPLE = ROOT / "examples" / "silicon"


def main() -> int:
    """Run the demo; the exit code says whether every job converged."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--example", type=Path, default=EXAMPLE, help="folder with the jobs' manifests (*.yaml)")
    parser.add_argument("--only", choices=["finetunejob", "distilljob"], help="run the jobs of this kind alone")
    parser.add_argument("--suffix", default="", help="appended to the jobs' names, to run them again beside the old")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "demo" / "summary.json")
    options = parser.parse_args()
    upload_pretrained()
    started = time.monotonic()
    # a distillation waits for its teacher: both are applied at once
    names = [submit(manifest, options.suffix) for manifest in manifests(options.example, options.only)]
    ended = [follow(kind, name, started) for kind, name in names]
    summary = summarise(ended, time.monotonic() - started)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(summary, indent=1))
    print(table(summary))
    print(how_to_look(names, summary))
    return 0 if summary["phase"] == "Converged" else 1


def manifests(folder: Path, only: str | None) -> list[dict[str, Any]]:
    """Return the jobs of an example, teachers first."""
    found = [yaml.safe_load(path.read_text()) for path in folder.glob("*.yaml")]
    chosen = [each for each in found if only in (None, each["kind"].lower())]
    return sorted(chosen, key=lambda each: each["kind"], reverse=True)


def submit(manifest: dict[str, Any], suffix: str) -> tuple[str, str]:
    """Apply a job; return its kind and name."""
    manifest["metadata"]["name"] += suffix
    teacher = manifest["spec"].get("teacher", {}).get("fineTuneJob")
    if teacher is not None:
        teacher["name"] += suffix
    apply(manifest, NAMESPACE)
    kind, name = manifest["kind"].lower(), manifest["metadata"]["name"]
    print(f"{kind}/{name} applied in namespace {NAMESPACE}")
    return kind, name


def upload_pretrained() -> None:
    """Put the shipped checkpoint where the example expects it."""
    with object_store() as s3:
        s3.upload_file(str(ROOT / "examples/pretrained/dpa2-group-iv.pt"), BUCKET, "models/dpa2-group-iv.pt")


def follow(kind: str, name: str, started: float) -> dict[str, Any]:
    """Print a line whenever the job gets on; return it when it has ended."""
    shown = ""
    while True:
        found = job(kind, name, NAMESPACE)
        status = found.get("status", {})
        active = status.get("active") or {}
        line = (
            f"{name}  iteration {status.get('iteration', 0)}  {status.get('stage', ''):<8} "
            f"{status.get('progress', ''):<6} labels {status.get('labels', {}).get('shown', '')}  "
            f"{stuck(status) or active.get('message', '')}"
        )
        if line != shown:
            print(f"{time.monotonic() - started:7.0f} s  {line}", flush=True)
            shown = line
        if status.get("phase") in TERMINAL:
            return found
        time.sleep(1)


def stuck(status: dict[str, Any]) -> str:
    """Return why a pod cannot start, if one cannot."""
    conditions = status.get("conditions", [])
    return next((each["message"] for each in conditions if each["type"] == "Stuck" and each["status"] == "True"), "")


def how_to_look(names: list[tuple[str, str]], summary: dict[str, Any]) -> str:
    """Return the commands with which to look further; the cluster stays up."""
    lines = ["", "The cluster is still up:  export KUBECONFIG=$(make -s kubeconfig)"]
    lines += [f"  kubectl describe {kind} {name} -n {NAMESPACE}" for kind, name in names]
    lines += [f"  model: {uri}" for uri in summary["models"].values()]
    return "\n".join([*lines, "", kubectl("get", "finetunejobs,distilljobs", "--namespace", NAMESPACE)])


if __name__ == "__main__":
    sys.exit(main())

"""make demo, make example: the jobs of an example, followed to their end, with a table and a summary.json."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from drive import BUCKET, TERMINAL, apply, job, kubectl, object_store
from example import EXAMPLES, ROOT, is_job, objects, with_values
from summary import summarise
from table import table

NAMESPACE = "pfd-demo"
PRETRAINED = EXAMPLES / "pretrained"


def main() -> int:
    """Run the jobs; the exit code says whether every one converged."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--example", type=Path, default=EXAMPLES / "silicon", help="folder with kustomization.yaml")
    parser.add_argument("--only", choices=["finetunejob", "distilljob"], help="run the jobs of this kind alone")
    parser.add_argument("--suffix", default="", help="appended to the jobs' names, to run them again beside the old")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="PATH=VALUE",
        help="set a field of every job that is run, e.g. spec.selection.representativeFraction=1",
    )
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "demo" / "summary.json")
    options = parser.parse_args()
    given = objects(options.example)
    jobs = [with_values(each, options.set) for each in given if is_job(each)]
    jobs = [each for each in jobs if options.only in (None, each["kind"].lower())]
    upload_pretrained(jobs)
    started = time.monotonic()
    for each in given:
        if not is_job(each):
            apply(each, NAMESPACE)
    # a distillation waits for its teacher: both are applied at once
    names = [submit(each, options.suffix) for each in jobs]
    ended = [follow(kind, name, started) for kind, name in names]
    summary = summarise(ended, time.monotonic() - started)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(summary, indent=1))
    print(table(summary))
    print(how_to_look(names, summary))
    return 0 if summary["phase"] == "Converged" else 1


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


def upload_pretrained(jobs: list[dict[str, Any]]) -> None:
    """Put the shipped checkpoints where these jobs expect them."""
    folder = f"s3://{BUCKET}/models/"
    wanted = {each["spec"].get("model", {}).get("uri", "") for each in jobs}
    names = [uri.removeprefix(folder) for uri in wanted if uri.startswith(folder)]
    if names:
        with object_store() as s3:
            for name in names:
                s3.upload_file(str(PRETRAINED / name), BUCKET, f"models/{name}")


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

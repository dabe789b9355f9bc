"""make demo: applies examples/silicon, follows it to its end, prints a table and writes build/demo/summary.json."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import yaml
from drive import BUCKET, TERMINAL, apply, finetunejob, kubectl, object_store

ROOT = Path(__file__).resolve().parents[2]
NAMESPACE = "pfd-demo"


def main() -> int:
    """Run the demo; the exit code says whether the job converged."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--example", type=Path, default=ROOT / "examples" / "silicon" / "finetune.yaml")
    parser.add_argument("--name", help="name of the job (default: the example's)")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "demo" / "summary.json")
    options = parser.parse_args()
    manifest = yaml.safe_load(options.example.read_text())
    name = options.name or manifest["metadata"]["name"]
    manifest["metadata"]["name"] = name
    upload_pretrained()
    started = time.monotonic()
    apply(manifest, NAMESPACE)
    print(f"finetunejob/{name} applied in namespace {NAMESPACE}\n")
    job = follow(name)
    summary = summarise(job, time.monotonic() - started)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(summary, indent=1))
    print(table(summary))
    print(how_to_look(name, job))
    return 0 if summary["phase"] == "Converged" else 1


def upload_pretrained() -> None:
    """Put the shipped checkpoint where the example expects it."""
    with object_store() as s3:
        s3.upload_file(str(ROOT / "examples/pretrained/dpa2-group-iv.pt"), BUCKET, "models/dpa2-group-iv.pt")


def follow(name: str) -> dict[str, Any]:
    """Print a line whenever the job gets on; return it when it has ended."""
    shown = ""
    started = time.monotonic()
    while True:
        job = finetunejob(name, NAMESPACE)
        status = job.get("status", {})
        active = status.get("active") or {}
        line = (
            f"iteration {status.get('iteration', 0)}  {status.get('stage', ''):<8} {status.get('progress', ''):<6} "
            f"labels {status.get('labels', {}).get('shown', '')}  {stuck(status) or active.get('message', '')}"
        )
        if line != shown:
            print(f"{time.monotonic() - started:7.0f} s  {line}", flush=True)
            shown = line
        if status.get("phase") in TERMINAL:
            return job
        time.sleep(1)


def stuck(status: dict[str, Any]) -> str:
    """Return why a pod cannot start, if one cannot."""
    conditions = status.get("conditions", [])
    return next((each["message"] for each in conditions if each["type"] == "Stuck" and each["status"] == "True"), "")


def summarise(job: dict[str, Any], wall_seconds: float) -> dict[str, Any]:
    """Return the figures of the run in eV, Å and s."""
    status = job["status"]
    labels = status["labels"]
    rows = {**status.get("baselines", {}), "finetuned": (status.get("model") or {}).get("errors")}
    return {
        "phase": status["phase"],
        "message": reason(job),
        "labels": {key: labels.get(key, 0) for key in ("paid", "reused", "budget", "failed", "wasted")},
        "holdout": {name: errors(row) for name, row in rows.items() if row},
        "iterations": status.get("iterations", []),
        "stages": [
            {"name": each["stage"], "iteration": each["iteration"], "seconds": each["seconds"]}
            for each in status["stages"]
        ],
        "model": (status.get("model") or {}).get("uri"),
        "wall_seconds": round(wall_seconds, 1),
    }


def errors(row: dict[str, Any]) -> dict[str, Any]:
    """Return one row's numbers out of the status' strings."""
    virial = row.get("virialRMSEPerAtom")
    return {
        "force_rmse": float(row["forceRMSE"]),
        "force_rmse_interval": row.get("forceRMSEInterval"),
        "energy_rmse_per_atom": float(row["energyRMSEPerAtom"]),
        "virial_rmse_per_atom": None if virial is None else float(virial),
        "frames": row["frames"],
    }


def reason(job: dict[str, Any]) -> str:
    """Return what the Progressing condition says at the end."""
    conditions = job["status"].get("conditions", [])
    return next((each["message"] for each in conditions if each["type"] == "Progressing"), "")


def table(summary: dict[str, Any]) -> str:
    """Return the figures for people."""
    labels = summary["labels"]
    lines = [
        "",
        f"{summary['phase']} in {summary['wall_seconds']:.0f} s: {summary['message']}",
        f"labels paid {labels['paid']} of {labels['budget']}, reused {labels['reused']}, failed {labels['failed']}",
        "",
        f"{'frozen DFT hold-out':<28}{'force RMSE':>12}{'95 % interval':>18}{'energy RMSE':>14}{'virial RMSE':>14}",
        f"{'':<28}{'eV/Å':>12}{'eV/Å':>18}{'eV/atom':>14}{'eV/atom':>14}",
    ]
    for name, row in summary["holdout"].items():
        virial = "" if row["virial_rmse_per_atom"] is None else f"{row['virial_rmse_per_atom']:.4f}"
        lines.append(
            f"{name:<28}{row['force_rmse']:>12.4f}{row['force_rmse_interval'] or '':>18}"
            f"{row['energy_rmse_per_atom']:>14.5f}{virial:>14}"
        )
    lines += ["", f"{'stage':<12}{'iteration':>10}{'seconds':>10}"]
    lines += [f"{each['name']:<12}{each['iteration']:>10}{each['seconds']:>10}" for each in summary["stages"]]
    return "\n".join(lines)


def how_to_look(name: str, job: dict[str, Any]) -> str:
    """Return the commands with which to look further; the cluster stays up."""
    model = (job["status"].get("model") or {}).get("uri", "none")
    return (
        f"\nThe cluster is still up:  export KUBECONFIG=$(make -s kubeconfig)\n"
        f"  kubectl get finetunejobs -n {NAMESPACE}\n"
        f"  kubectl describe finetunejob {name} -n {NAMESPACE}\n"
        f"  model: {model}\n\n" + kubectl("get", "finetunejobs", "--namespace", NAMESPACE)
    )


if __name__ == "__main__":
    sys.exit(main())

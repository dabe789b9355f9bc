"""The demo's figures: out of the jobs' statuses and the acceptance report, in eV, Å and s."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

from drive import object_store

ROWS = {
    "pretrained": "P  pre-trained as it is",
    "shifted": "P  energy shifted only",
    "finetuned": "F  fine-tuned",
    "student": "D  distilled student",
}


def summarise(jobs: list[dict[str, Any]], wall_seconds: float) -> dict[str, Any]:
    """Return the figures of a run: one FineTuneJob, one DistillJob, or both."""
    statuses = {each["kind"]: each["status"] for each in jobs}
    tuned, distilled = statuses.get("FineTuneJob", {}), statuses.get("DistillJob", {})
    phases = [status["phase"] for status in statuses.values()]
    return {
        "phase": next((phase for phase in phases if phase != "Converged"), "Converged"),
        "messages": {each["metadata"]["name"]: reason(each) for each in jobs},
        "labels": {
            key: (tuned or distilled)["labels"].get(key, 0) for key in ("paid", "reused", "budget", "failed", "wasted")
        },
        "holdout": holdout(tuned, distilled),
        "acceptance": distilled.get("acceptance", []),
        "iterations": {kind: status.get("iterations", []) for kind, status in statuses.items()},
        "stages": [
            {"kind": kind, "name": each["stage"], "iteration": each["iteration"], "seconds": each["seconds"]}
            for kind, status in statuses.items()
            for each in status["stages"]
        ],
        "models": {kind: status["model"]["uri"] for kind, status in statuses.items() if status.get("model")},
        "wall_seconds": round(wall_seconds, 1),
    }


def holdout(tuned: dict[str, Any], distilled: dict[str, Any]) -> dict[str, Any]:
    """Return the errors of P, F and D on the frozen DFT hold-out, with the MD speed where it was measured."""
    dft = distilled.get("dft", {})
    rows = {**tuned.get("baselines", {}), "finetuned": (tuned.get("model") or {}).get("errors") or dft.get("teacher")}
    rows["student"] = dft.get("student")
    speeds = speed(distilled)
    found = {}
    for name, row in rows.items():
        if row:
            # P and F are the same network with other parameters
            found[name] = errors(row) | {
                "steps_per_second": speeds.get("student" if name == "student" else "teacher", {})
            }
    return found


def speed(distilled: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Return model → atoms → MD steps per second, out of acceptance.json beside the exported model."""
    if not distilled.get("acceptance") or not distilled.get("model"):
        return {}
    address = urlsplit(distilled["model"]["uri"])
    key = f"{address.path.lstrip('/').rpartition('/')[0]}/acceptance.json"
    with object_store() as s3:
        report = json.loads(s3.get_object(Bucket=address.netloc, Key=key)["Body"].read())
    speeds: dict[str, dict[str, float]] = {}
    for record in report["speed"]:
        if record["steps_per_second"] is not None:
            speeds.setdefault(record["model"], {})[str(record["asked_atoms"])] = round(record["steps_per_second"], 2)
    return speeds


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
    labels, sizes = (
        summary["labels"],
        sorted({int(n) for row in summary["holdout"].values() for n in row["steps_per_second"]}),
    )
    columns = "".join(f"{f'{size} atoms':>12}" for size in sizes)
    units = "".join(f"{'steps/s':>12}" for _ in sizes)
    lines = [
        "",
        f"{summary['phase']} in {summary['wall_seconds']:.0f} s",
        *(f"{name}: {message}" for name, message in summary["messages"].items()),
        f"labels paid {labels['paid']} of {labels['budget']}, reused {labels['reused']}, failed {labels['failed']}",
        "",
        f"{'frozen DFT hold-out':<26}{'force RMSE':>11}{'95 % interval':>17}{'energy':>10}{'virial':>10}{columns}",
        f"{'':<26}{'eV/Å':>11}{'eV/Å':>17}{'eV/atom':>10}{'eV/atom':>10}{units}",
    ]
    for name, row in summary["holdout"].items():
        virial = "" if row["virial_rmse_per_atom"] is None else f"{row['virial_rmse_per_atom']:.4f}"
        speeds = "".join(f"{row['steps_per_second'].get(str(size), ''):>12}" for size in sizes)
        lines.append(
            f"{ROWS[name]:<26}{row['force_rmse']:>11.4f}{row['force_rmse_interval'] or '':>17}"
            f"{row['energy_rmse_per_atom']:>10.4f}{virial:>10}{speeds}"
        )
    lines += ["", *(f"{'met    ' if each['met'] else 'REFUSED'}  {each['message']}" for each in summary["acceptance"])]
    lines += ["", f"{'job':<14}{'stage':<10}{'iteration':>10}{'seconds':>10}"]
    lines += [f"{e['kind']:<14}{e['name']:<10}{e['iteration']:>10}{e['seconds']:>10}" for e in summary["stages"]]
    return "\n".join(lines)

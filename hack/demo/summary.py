"""The figures of a run: out of the jobs' statuses and the reports they left in the store, in eV, Å and s."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

from drive import object_store, stage_manifest


def summarise(jobs: list[dict[str, Any]], wall_seconds: float) -> dict[str, Any]:
    """Return the figures of a run: one FineTuneJob, one DistillJob, or both."""
    statuses = {each["kind"]: each["status"] for each in jobs}
    tuned, distilled = statuses.get("FineTuneJob", {}), statuses.get("DistillJob", {})
    phases = [status["phase"] for status in statuses.values()]
    report = acceptance_report(distilled)
    return {
        "phase": next((phase for phase in phases if phase != "Converged"), "Converged"),
        "messages": {each["metadata"]["name"]: reason(each) for each in jobs},
        "labels": {
            key: (tuned or distilled)["labels"].get(key, 0) for key in ("paid", "reused", "budget", "failed", "wasted")
        },
        "holdout": dft_holdout(tuned, distilled, speed(report)),
        "against_teacher": against_teacher(next((each for each in jobs if each["kind"] == "DistillJob"), None), report),
        "acceptance": distilled.get("acceptance", []),
        "iterations": {kind: status.get("iterations", []) for kind, status in statuses.items()},
        "stages": [
            {
                "kind": kind,
                "name": each["stage"],
                "iteration": each["iteration"],
                "seconds": each["seconds"],
                "reused": each.get("reused", False),
            }
            for kind, status in statuses.items()
            for each in status["stages"]
        ],
        "models": {kind: status["model"]["uri"] for kind, status in statuses.items() if status.get("model")},
        "wall_seconds": round(wall_seconds, 1),
    }


def dft_holdout(
    tuned: dict[str, Any], distilled: dict[str, Any], speeds: dict[str, dict[str, float]]
) -> dict[str, Any]:
    """Return the errors of P, F and D on the frozen DFT hold-out, with the MD speed where it was measured."""
    dft = distilled.get("dft", {})
    rows = {**tuned.get("baselines", {}), "finetuned": (tuned.get("model") or {}).get("errors") or dft.get("teacher")}
    rows["student"] = dft.get("student")
    found = {}
    for name, row in rows.items():
        if row:
            # P and F are the same network with other parameters
            found[name] = errors(row) | {
                "steps_per_second": speeds.get("student" if name == "student" else "teacher", {})
            }
    return found


def against_teacher(distillation: dict[str, Any] | None, report: dict[str, Any]) -> dict[str, Any]:
    """Return what is known of a student by its teacher alone: errors on the teacher's hold-out, speed, stable MD."""
    status = {} if distillation is None else distillation["status"]
    if distillation is None or not (status.get("model") or {}).get("errors"):
        return {}
    speeds = speed(report)
    runs = [run for of_system in (report.get("stability") or {}).values() for run in of_system]
    stable = min(runs, key=lambda run: run["picoseconds"], default={})
    return {
        **errors(status["model"]["errors"]),
        "by_stratum": strata(distillation),
        "steps_per_second": speeds,
        "atoms_run": {str(record["askedAtoms"]): record["atoms"] for record in report.get("speed", [])},
        "speed_up": {
            size: round(fast / speeds["teacher"][size], 1)
            for size, fast in speeds.get("student", {}).items()
            if size in speeds.get("teacher", {})
        },
        "stable_md": {
            "picoseconds": stable.get("picoseconds"),
            "temperature_kelvin": stable.get("temperatureKelvin"),
            "reason": stable.get("reason"),
        },
    }


def strata(distillation: dict[str, Any]) -> dict[str, float]:
    """Return stratum → force RMSE on the hold-out, of the best student, out of the last train stage's report."""
    prefix = distillation["spec"]["artifacts"]["s3"].get("prefix", "")
    with object_store() as s3:
        bucket = distillation["spec"]["artifacts"]["s3"]["bucket"]
        manifest = stage_manifest(s3, prefix, distillation["status"]["inputs"]["train"]["digest"])
        key = f"{prefix}/{manifest['files']['report.json']['key']}"
        report = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    return {name: round(each["forceRmse"], 4) for name, each in report["best"]["strata"].items()}


def acceptance_report(distilled: dict[str, Any]) -> dict[str, Any]:
    """Return acceptance.json, which lies beside the exported model; nothing before a student was judged."""
    if not distilled.get("acceptance") or not distilled.get("model"):
        return {}
    address = urlsplit(distilled["model"]["uri"])
    key = f"{address.path.lstrip('/').rpartition('/')[0]}/acceptance.json"
    with object_store() as s3:
        found: dict[str, Any] = json.loads(s3.get_object(Bucket=address.netloc, Key=key)["Body"].read())
    return found


def speed(report: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Return model → atoms asked for → MD steps per second."""
    speeds: dict[str, dict[str, float]] = {}
    for record in report.get("speed", []):
        if record["stepsPerSecond"] is not None:
            figure = float(f"{record['stepsPerSecond']:.4g}")
            speeds.setdefault(record["model"], {})[str(record["askedAtoms"])] = figure
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

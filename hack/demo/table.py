"""The figures of a run for people: lines of text out of what `summary` has put together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from summary import errors

ROWS = {
    "pretrained": "P  pre-trained as it is",
    "shifted": "P  energy shifted only",
    "finetuned": "F  fine-tuned",
    "student": "D  distilled student",
}


def table(summary: dict[str, Any]) -> str:
    """Return the figures for people."""
    labels = summary["labels"]
    return "\n".join(
        [
            "",
            f"{summary['phase']} in {summary['wall_seconds']:.0f} s",
            *(f"{name}: {message}" for name, message in summary["messages"].items()),
            f"labels paid {labels['paid']} of {labels['budget']}, reused {labels['reused']}, failed {labels['failed']}",
            # a student of a fine-tuned teacher is measured by DFT, and the rounds of another are all there is
            *(dft_lines(summary["holdout"]) if summary["holdout"] else teacher_lines(summary)),
            "",
            *(f"{'met    ' if each['met'] else 'REFUSED'}  {each['message']}" for each in summary["acceptance"]),
            *stage_lines(summary["stages"]),
        ]
    )


def dft_lines(holdout: dict[str, Any]) -> Iterator[str]:
    """Yield the table of P, F and D."""
    sizes = sorted({int(size) for row in holdout.values() for size in row["steps_per_second"]})
    columns = "".join(f"{f'{size} atoms':>12}" for size in sizes)
    units = "".join(f"{'steps/s':>12}" for _ in sizes)
    yield ""
    yield f"{'frozen DFT hold-out':<26}{'force RMSE':>11}{'95 % interval':>17}{'energy':>10}{'virial':>10}{columns}"
    yield f"{'':<26}{'eV/Å':>11}{'eV/Å':>17}{'eV/atom':>10}{'eV/atom':>10}{units}"
    for name, row in holdout.items():
        speeds = "".join(f"{row['steps_per_second'].get(str(size), ''):>12}" for size in sizes)
        yield f"{ROWS[name]:<26}{error_columns(row)}{speeds}"


def error_columns(row: dict[str, Any]) -> str:
    """Return force RMSE with its interval, energy and virial RMSE."""
    virial = "" if row["virial_rmse_per_atom"] is None else f"{row['virial_rmse_per_atom']:.4f}"
    interval = row["force_rmse_interval"] or ""
    return f"{row['force_rmse']:>11.4f}{interval:>17}{row['energy_rmse_per_atom']:>10.4f}{virial:>10}"


def teacher_lines(summary: dict[str, Any]) -> Iterator[str]:
    """Yield the table of a student that is known by its teacher alone."""
    student = summary["against_teacher"]
    if not student:
        return
    head = f"against the teacher, {student['frames']} frames"
    yield ""
    yield f"{head:<36}{'force RMSE':>11}{'95 % interval':>17}{'energy':>10}{'virial':>10}"
    yield f"{'':<36}{'eV/Å':>11}{'eV/Å':>17}{'eV/atom':>10}{'eV/atom':>10}"
    for record in summary["iterations"]["DistillJob"]:
        name = f"round {record['iteration']}, {record['labels']} labels in all"
        yield f"{name:<36}{error_columns(errors(record['holdout']))}"
    yield f"{'the exported model':<36}{error_columns(student)}"
    for name, value in sorted(student["by_stratum"].items()):
        yield f"  {name:<34}{value:>11.4f}"
    yield from speed_lines(student)


def speed_lines(student: dict[str, Any]) -> Iterator[str]:
    """Yield the speed of teacher and student at the sizes that were run."""
    sizes = sorted(student["atoms_run"], key=int)
    if not sizes:
        return
    rows = {
        "MD steps/s": {size: f"{atoms} atoms" for size, atoms in student["atoms_run"].items()},
        "the teacher": student["steps_per_second"].get("teacher", {}),
        "the student": student["steps_per_second"].get("student", {}),
        "speed-up": {size: f"{factor}×" for size, factor in student["speed_up"].items()},
    }
    yield ""
    for name, row in rows.items():
        yield f"{name:<36}" + "".join(f"{row.get(size, ''):>14}" for size in sizes)


def stage_lines(stages: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the seconds of every stage."""
    yield ""
    yield f"{'job':<14}{'stage':<10}{'iteration':>10}{'seconds':>10}"
    for each in stages:
        reused = "  reused" if each["reused"] else ""
        yield f"{each['kind']:<14}{each['name']:<10}{each['iteration']:>10}{each['seconds']:>10}{reused}"

"""The model card: what the student was trained on, how good and how fast it is, and where it holds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pfd_operator.contract.result import ErrorMetrics
from pfd_worker.acceptance.timed_run import SpeedRecord
from pfd_worker.acceptance.verdict import Check
from pfd_worker.store.manifests import sha256_of

CARD_JSON, CARD_TEXT = "card.json", "card.md"
_WHERE = {
    "holdout": "student against teacher, frozen hold-out",
    "dft": "student against DFT, frozen hold-out",
    "teacherDft": "teacher against DFT, the same frames",
}


@dataclass(frozen=True)
class Card:
    """All that a card says."""

    name: str
    """Namespace and name of the job."""
    accepted: bool
    elements: Sequence[str]
    teacher: str
    """Its family, and the digest of the stage that prepared it."""
    training_frames: int
    conditions: Sequence[str]
    """Of the MD that the training frames are from: ensemble, temperatures (K), pressures (bar)."""
    errors: Mapping[str, ErrorMetrics]
    speed: Sequence[SpeedRecord]
    checks: Sequence[Check]
    model_section: Mapping[str, Any]
    """Of the deepmd-kit input."""
    packages: Mapping[str, str]

    def write(self, folder: Path, files: Sequence[str]) -> list[str]:
        """Write the card as JSON and Markdown, with the sha256 of the files beside it; return both names."""
        digests = {name: sha256_of(folder / name) for name in files}
        content = {**asdict(self), "errors": {k: v.to_json() for k, v in self.errors.items()}, "sha256": digests}
        (folder / CARD_JSON).write_text(json.dumps(content, indent=1, allow_nan=False))
        (folder / CARD_TEXT).write_text("\n".join(self._lines(digests)) + "\n")
        return [CARD_JSON, CARD_TEXT]

    def _lines(self, digests: Mapping[str, str]) -> list[str]:
        return [
            f"# {self.name}",
            "",
            f"{'Accepted' if self.accepted else '**Refused**'}. Elements {', '.join(self.elements)}; trained on "
            f"{self.training_frames} frames that its teacher labelled ({self.teacher}).",
            "",
            "Made for the conditions it was explored at; elsewhere nothing is known of it:",
            "",
            *(f"- {condition}" for condition in self.conditions),
            "",
            "## Errors",
            "",
            "| | frames | force RMSE, eV/Å (95 % interval) | energy RMSE, eV/atom | virial RMSE, eV/atom |",
            "|---|---|---|---|---|",
            *(_error_row(_WHERE.get(name, name), metrics) for name, metrics in self.errors.items()),
            "",
            "## Speed",
            "",
            "MD by ASE, energy, forces and stress in each step; median of the steps timed.",
            "",
            "| model | atoms | ms per step | steps per second | |",
            "|---|---|---|---|---|",
            *(_speed_row(record) for record in self.speed),
            "",
            "## Verdict",
            "",
            *(f"- {'met' if check.met else '**not met**'}: {check.message}" for check in self.checks),
            "",
            "## Files",
            "",
            *(f"- `{name}` sha256 {digest}" for name, digest in digests.items()),
            "",
            "Made with " + ", ".join(f"{name} {version}" for name, version in self.packages.items()) + ".",
        ]


def _error_row(where: str, metrics: ErrorMetrics) -> str:
    force = f"{metrics.force_rmse:.4f} ({metrics.force_rmse_low:.4f}–{metrics.force_rmse_high:.4f})"
    virial = "" if metrics.virial_rmse_per_atom is None else f"{metrics.virial_rmse_per_atom:.4f}"
    return f"| {where} | {metrics.frames} | {force} | {metrics.energy_rmse_per_atom:.5f} | {virial} |"


def _speed_row(record: SpeedRecord) -> str:
    speed = "" if record.steps_per_second is None else f"{record.steps_per_second:.1f}"
    time = "" if record.median_ms_per_step is None else f"{record.median_ms_per_step:.1f}"
    return f"| {record.model} | {record.atoms} | {time} | {speed} | {record.note or ''} |"

"""The chart's templates as documents, without a cluster."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.cache import PROGRAMS

ROOT = Path(__file__).resolve().parents[1]
CHART = ROOT / "charts/pfd-operator"
HELM = PROGRAMS / "helm"

IMAGES = ",".join(f"images.{name}=registry.test/pfd/{name}:1" for name in ("operator", "worker", "s3"))


def helm_template(*arguments: str, chart: Path = CHART, release: str = "pfd") -> subprocess.CompletedProcess[str]:
    place = ["--namespace", "pfd-system", "--kube-version", "1.34.0"]
    command = [str(HELM), "template", release, str(chart), *place, "--set", IMAGES, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def render(*arguments: str, chart: Path = CHART) -> list[dict[str, Any]]:
    done = helm_template(*arguments, chart=chart)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def refusal(*arguments: str, chart: Path = CHART, release: str = "pfd") -> str:
    done = helm_template(*arguments, chart=chart, release=release)
    assert done.returncode != 0, "the chart accepts this"
    return done.stderr


def of_kind(documents: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [document for document in documents if document["kind"] == kind]


def notes(folder: Path, *arguments: str) -> str:
    """Return NOTES.txt, which helm itself renders for an install only, and that needs a cluster."""
    chart = folder / "chart"
    shutil.copytree(CHART, chart)
    text = (chart / "templates/NOTES.txt").read_text()
    (chart / "templates/_notes.tpl").write_text('{{- define "notes" -}}\n' + text + "{{- end -}}\n")
    (chart / "templates/notes.yaml").write_text('kind: Notes\ntext: {{ include "notes" . | toJson }}\n')
    return str(of_kind(render(*arguments, chart=chart), "Notes")[0]["text"])

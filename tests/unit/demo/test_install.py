"""`make install` is for trying out: it must not touch a release whose S3 keeps data that somebody needs."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
OURS = {"s3": {"enabled": True, "persistence": {"enabled": False}, "secretNamespaces": ["pfd-demo", "pfd-e2e"]}}

HELM = """#!/bin/sh
printf '%s\\n' "$*" >>"$CALLS"
case "$*" in
  *" list "*) printf '%s' "$RELEASES" ;;
  *" get values "*) printf '%s' "$VALUES" ;;
esac
"""
KUBECTL = """#!/bin/sh
printf 'kubectl\\n' >>"$CALLS"
"""


def install(folder: Path, releases: str, values: dict[str, Any] | None) -> tuple[subprocess.CompletedProcess[str], str]:
    programs = folder / "bin"
    programs.mkdir()
    for name, script in (("helm", HELM), ("kubectl", KUBECTL)):
        (programs / name).write_text(script)
        (programs / name).chmod(0o755)
    calls = folder / "calls"
    calls.touch()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PFD_CACHE": str(folder),
        "CLUSTER": "current",
        "KUBECONFIG": str(folder / "kubeconfig"),
        "CALLS": str(calls),
        "RELEASES": releases,
        "VALUES": json.dumps(values),
    }
    command = [str(ROOT / "hack/demo/install.sh")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return done, calls.read_text()


@pytest.mark.parametrize(("releases", "values"), [("", None), ("pfd-operator", OURS)], ids=["none", "of its own"])
def test_it_installs_and_upgrades_what_it_has_made(
    tmp_path: Path, releases: str, values: dict[str, Any] | None
) -> None:
    done, calls = install(tmp_path, releases, values)
    assert done.returncode == 0, done.stderr
    assert "upgrade --install pfd-operator" in calls
    assert "s3.persistence.enabled=false" in calls


@pytest.mark.parametrize(
    "values",
    [
        None,
        {"s3": {"enabled": True, "persistence": {"size": "200Gi"}, "secretNamespaces": ["lab"]}},
        {"images": {"operator": "registry.test/operator:1"}},
        {"s3": {**OURS["s3"], "secretNamespaces": ["lab"]}},
    ],
    ids=["no values", "a volume", "an S3 of its own", "keys elsewhere"],
)
def test_it_leaves_any_other_release_alone(tmp_path: Path, values: dict[str, Any] | None) -> None:
    done, calls = install(tmp_path, "pfd-operator", values)
    assert done.returncode == 1
    assert "Nothing was changed" in done.stderr
    assert "helm upgrade pfd-operator" in done.stderr
    assert "upgrade" not in calls
    assert "kubectl" not in calls

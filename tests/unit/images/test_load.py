"""`make images-load`: a cluster that pulls its images needs a registry to pull them from."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def planned(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["make", "--dry-run", "images-load", *arguments]
    environment = {"PATH": os.environ["PATH"], "PFD_CACHE": str(folder)}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_the_current_cluster_without_a_registry_is_refused_before_anything_is_built(tmp_path: Path) -> None:
    refused = planned(tmp_path, "CLUSTER=current")
    assert refused.returncode != 0
    assert "REGISTRY=" in refused.stderr
    assert not refused.stdout


@pytest.mark.parametrize("arguments", [("CLUSTER=current", "REGISTRY=registry.test/pfd"), ("CLUSTER=embedded",)])
def test_with_one_or_with_a_cluster_that_images_are_put_into_it_goes_on(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    assert "hack/images/build.sh" in planned(tmp_path, *arguments).stdout

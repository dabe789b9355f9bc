"""`make images-prune` frees what no present file names, and says so, whether or not there is something to free."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
STALE = "localhost/pfd/s3:000000000000"
FOREIGN = "docker.io/library/debian:trixie"

BUILDAH = """#!/bin/sh
case "$1" in
  images) cat "$IMAGES" ;;
  rmi) printf '%s\\n' "$2" >>"$REMOVED" ;;
esac
"""
SKOPEO = """#!/bin/sh
for to; do :; done
layout=${to#oci:}
layout=${layout%%:*}
mkdir -p "$layout" && printf '%s' "$to" >"$layout/copied"
"""


@pytest.mark.parametrize("stale", [[], [STALE]], ids=["nothing stale", "one stale"])
def test_what_is_stale_goes_and_the_layout_is_made_anew(tmp_path: Path, stale: list[str]) -> None:
    scripts = tmp_path / "hack/images"
    shutil.copytree(ROOT / "hack/images", scripts)
    (scripts / "images.tsv").write_text("s3\tDockerfile\t-\ttrixie\t-\t\n")
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    for name, script in (("buildah", BUILDAH), ("skopeo", SKOPEO)):
        (tmp_path / name).write_text(script)
        (tmp_path / name).chmod(0o755)
    images, removed = tmp_path / "images", tmp_path / "removed"
    removed.touch()
    layout = tmp_path / "cache/images/oci"
    layout.mkdir(parents=True)
    (layout / "earlier").touch()
    environment = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "PFD_CACHE": str(tmp_path / "cache"),
        "PFD_BUILDER": "buildah",
        "IMAGES": str(images),
        "REMOVED": str(removed),
    }

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    present = run(str(scripts / "build.sh"), "--print-ref", "s3").stdout.strip()
    images.write_text("".join(f"{name}\n" for name in [FOREIGN, present, *stale]))
    done = run(str(scripts / "prune.sh"))

    assert done.returncode == 0, done.stderr
    assert "MB before" in done.stderr
    assert removed.read_text().split() == stale
    assert not (layout / "earlier").exists()
    assert (layout / "copied").read_text().endswith(present)

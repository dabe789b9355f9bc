"""Scripts that root runs find /usr/sbin, which is not on the PATH that plain `su` gives."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PATH_OF_SU = "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games"
OF_SBIN = "ldconfig"


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": f"{folder}:{PATH_OF_SU}", "PFD_CACHE": str(folder)}
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)


def test_what_builds_images_is_looked_for_there(tmp_path: Path) -> None:
    found = run(tmp_path, "bash", "-c", f"source hack/images/env.sh && command -v {OF_SBIN}")
    assert found.returncode == 0, found.stderr


def test_dpkg_finds_it(tmp_path: Path) -> None:
    apt_get = tmp_path / "apt-get"
    apt_get.write_text(f"#!/bin/sh\ncommand -v {OF_SBIN}\n")
    apt_get.chmod(0o755)
    installed = run(tmp_path, "hack/apt-install.sh", str(tmp_path / "log"), "a-package")
    assert installed.returncode == 0, installed.stderr

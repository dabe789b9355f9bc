"""hack/devcluster/build.sh keeps under the sources' hash only what was built as a whole."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

GO = """#!/bin/sh
case "$*" in
  *"$FAILS"*) echo 'go: no' >&2; exit 1 ;;
esac
while [ "$1" != -o ]; do shift; done
printf '#!/bin/sh\\n' >"$2"
chmod +x "$2"
"""


@pytest.mark.parametrize("fails", ["./cmd/pause", "/devcluster ."])
def test_a_build_of_which_one_program_fails_is_not_kept(tmp_path: Path, fails: str) -> None:
    go = tmp_path / "go"
    go.write_text(GO)
    go.chmod(0o755)
    cache = tmp_path / "cache"

    def build(fails: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PFD_CACHE": str(cache), "FAILS": fails}
        command = [str(ROOT / "hack/devcluster/build.sh")]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    failed = build(fails)
    assert failed.returncode == 1
    assert "build failed" in failed.stderr
    assert not (cache / "bin/devcluster").exists()

    built = build("nothing fails")
    assert built.returncode == 0, built.stderr
    assert (Path(built.stdout.strip()).parent / "pause").exists()

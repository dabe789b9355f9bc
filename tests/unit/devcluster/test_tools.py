"""hack/devcluster/tools.sh: each version of a program is built once, and one on PATH is taken if it will do."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

GO = """#!/bin/sh
for package; do :; done
name=${package##*/}
printf '%s\\n' "$package" >>"$BUILDS"
printf '#!/bin/sh\\n' >"$GOBIN/${name%@*}"
sleep 0.3
chmod +x "$GOBIN/${name%@*}"
printf 'echo %s\\n' "${package##*@}" >>"$GOBIN/${name%@*}"
"""


class Checkout:
    """The scripts in a folder of their own, and a cache."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.programs = folder / "programs"
        self.programs.mkdir()
        self.program("go", GO)
        self.cache = folder / "cache/bin"
        self.dockerfile = folder / "images/s3/Dockerfile"
        for path in ("hack/devcluster/env.sh", "hack/devcluster/tools.sh", "images/s3/Dockerfile"):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, folder / path)

    def program(self, name: str, script: str) -> None:
        (self.programs / name).write_text(script)
        (self.programs / name).chmod(0o755)

    def start(self, name: str) -> subprocess.Popen[str]:
        environment = {
            "PATH": f"{self.cache}:{self.programs}:/usr/bin:/bin",
            # as no other path is spelled
            "PFD_CACHE": f"{self.cache.parent}/",
            "BUILDS": str(self.folder / "builds"),
        }
        return subprocess.Popen(
            [str(self.folder / "hack/devcluster/tools.sh"), name], env=environment, stdout=subprocess.PIPE, text=True
        )

    def version(self, name: str) -> str:
        """Of the program that the script gives."""
        path, _ = self.start(name).communicate(timeout=60)
        return subprocess.run([path.strip()], capture_output=True, text=True, check=True).stdout.strip()

    def builds(self) -> list[str]:
        """Return the version of each build."""
        builds = self.folder / "builds"
        return [line.rpartition("@")[2] for line in builds.read_text().split()] if builds.exists() else []


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_two_at_once_build_once(checkout: Checkout) -> None:
    for process in [checkout.start("versitygw") for _ in range(2)]:
        path, _ = process.communicate(timeout=60)
        assert os.access(path.strip(), os.X_OK)
    assert len(checkout.builds()) == 1


def test_another_version_in_the_image_is_built_and_taken(checkout: Checkout) -> None:
    first = checkout.version("versitygw")
    assert f"versitygw@{first} " in checkout.dockerfile.read_text()
    checkout.dockerfile.write_text(checkout.dockerfile.read_text().replace(f"@{first}", "@v99.0.1"))
    assert checkout.version("versitygw") == "v99.0.1"
    assert checkout.builds() == [first, "v99.0.1"]


@pytest.mark.parametrize(("present", "taken"), [("v3.9.4", False), ("v3.14.0", True), ("v3.20.1", True)])
def test_a_helm_on_the_path_is_taken_if_it_is_new_enough(checkout: Checkout, present: str, taken: bool) -> None:
    checkout.program("helm", f"#!/bin/sh\necho {present}\n")
    for _ in range(3):  # the second time its link is there, first on the path
        assert (checkout.version("helm") == present) == taken
    assert len(checkout.builds()) == (0 if taken else 1)


def test_a_file_without_a_version_from_earlier_is_not_taken(checkout: Checkout) -> None:
    checkout.program("helm", "#!/bin/sh\necho v3.9.4\n")
    checkout.cache.mkdir(parents=True)
    (checkout.cache / "helm").write_text("#!/bin/sh\necho v3.9.4\n")
    (checkout.cache / "helm").chmod(0o755)
    assert checkout.version("helm") == checkout.builds()[0] != "v3.9.4"

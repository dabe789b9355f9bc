"""The GPU image's lock goes with what it was made of: packages asked for, and those of every worker image."""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[3] / "images/worker"


def pins(name: str) -> dict[str, str]:
    """Return the version of each package that a file names, by its normalized name without extras."""
    lines = [line for line in (FOLDER / name).read_text().splitlines() if line and not line.startswith("#")]
    named = [line.partition("==") for line in lines]
    assert all(version for _, _, version in named), f"{name}: each line pins a version"
    return {re.sub(r"[-_.]+", "-", package.partition("[")[0]).lower(): version for package, _, version in named}


def test_what_is_asked_for_is_locked_at_that_version() -> None:
    locked = pins("requirements-gpu.txt")
    assert pins("requirements-gpu.in").items() <= locked.items()
    assert "torch" in locked


def test_no_package_is_wanted_in_two_versions() -> None:
    locked, common = pins("requirements-gpu.txt"), pins("requirements.txt")
    assert {name: locked[name] for name in common.keys() & locked.keys()}.items() <= common.items()

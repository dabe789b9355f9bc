"""Versions of the packages that decide what a stage computes."""

from __future__ import annotations

import importlib.metadata

_PACKAGES = ("deepmd-kit", "torch", "ase", "dpdata", "numpy", "scipy", "matplotlib", "sevenn", "tblite")


def package_versions() -> dict[str, str]:
    """Return name → version of those that are installed."""
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions

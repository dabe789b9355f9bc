"""Writes an image of an OCI layout as a tar stream, without the layers that the receiving containerd has already.

Usage: ``oci_delta.py LAYOUT REFERENCE <digests-it-has >tar``. An image of which one thin layer changed is then a few
kilobytes instead of gigabytes. containerd's import takes blobs from its content store where the archive lacks them.
"""

from __future__ import annotations

import io
import json
import sys
import tarfile
from pathlib import Path
from typing import Any, BinaryIO


def find_image(layout: Path, reference: str) -> dict[str, Any]:
    """Return the descriptor of `reference` in the index of `layout`.

    Raises
    ------
    SystemExit
        If the layout has no such image.
    """
    index = json.loads((layout / "index.json").read_text())
    for descriptor in index["manifests"]:
        if descriptor.get("annotations", {}).get("org.opencontainers.image.ref.name") == reference:
            return dict(descriptor)
    raise SystemExit(f"error: {layout} holds no image {reference}; build it first")


def blob_path(layout: Path, digest: str) -> Path:
    """Path of a blob in the layout, from its ``sha256:…`` digest."""
    return layout / "blobs" / digest.replace(":", "/")


def write_delta(layout: Path, reference: str, present: set[str], stream: BinaryIO) -> None:
    """Write manifest, config and the layers not in `present` as a tar with an index of this one image."""
    descriptor = find_image(layout, reference)
    manifest = json.loads(blob_path(layout, descriptor["digest"]).read_text())
    # containerd names the imported image by its own annotation; the OCI one may hold a bare tag only.
    descriptor["annotations"]["io.containerd.image.name"] = reference
    digests = [layer["digest"] for layer in manifest["layers"] if layer["digest"] not in present]
    digests += [manifest["config"]["digest"], descriptor["digest"]]
    with tarfile.open(fileobj=stream, mode="w|") as archive:
        for name, content in (
            ("oci-layout", {"imageLayoutVersion": "1.0.0"}),
            ("index.json", {"schemaVersion": 2, "manifests": [descriptor]}),
        ):
            data = json.dumps(content).encode()
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        for digest in dict.fromkeys(digests):
            archive.add(blob_path(layout, digest), arcname=f"blobs/{digest.replace(':', '/')}", recursive=False)


if __name__ == "__main__":
    write_delta(Path(sys.argv[1]), sys.argv[2], set(sys.stdin.read().split()), sys.stdout.buffer)

"""Manifests: the commit point of a stage. Written last, by one conditional put; what has none did not happen."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pfd_operator.contract.result import Reason, StageResult
from pfd_worker.errors import transient
from pfd_worker.store.objects import ObjectStore


@dataclass(frozen=True)
class StoredFile:
    """A payload file: where it is and what it must be."""

    key: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class Manifest:
    """What a finished stage (or one index of it) left in the store."""

    digest: str
    stage: str
    index: int | None
    files: dict[str, StoredFile]
    summary: dict[str, Any]
    result: StageResult
    packages: dict[str, str] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Return the JSON that is stored."""
        content = {
            "digest": self.digest,
            "stage": self.stage,
            "index": self.index,
            "files": {name: vars(file) for name, file in self.files.items()},
            "summary": self.summary,
            "result": self.result.to_json(),
            "packages": self.packages,
        }
        return json.dumps(content, indent=1, allow_nan=False).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> Manifest:
        """Read what `to_bytes` wrote, of this version or another."""
        parsed = json.loads(content)
        return cls(
            digest=parsed["digest"],
            stage=parsed["stage"],
            index=parsed["index"],
            files={
                name: StoredFile(file["key"], file["sha256"], file["bytes"]) for name, file in parsed["files"].items()
            },
            summary=parsed["summary"],
            result=StageResult.model_validate(parsed["result"]),
            packages=parsed.get("packages", {}),
        )


def manifest_key(digest: str, index: int | None = None) -> str:
    """Return the key of a stage's manifest, or of one index of it."""
    return f"{stage_folder(digest, index)}manifest.json"


def stage_folder(digest: str, index: int | None = None) -> str:
    """Return the key prefix of a stage, or of one index of it."""
    return f"stages/{digest}/" if index is None else f"stages/{digest}/index-{index:05d}/"


def read_manifest(store: ObjectStore, digest: str, index: int | None = None) -> Manifest | None:
    """Return a stage's manifest, None if it has not finished."""
    content = store.get(manifest_key(digest, index))
    return None if content is None else Manifest.from_bytes(content)


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file, read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def store_file(store: ObjectStore, path: Path, key: str) -> StoredFile:
    """Upload a payload file; its digest is taken from what we have, and checked whenever it is read."""
    file = StoredFile(key, sha256_of(path), path.stat().st_size)
    store.upload(path, key)
    return file


def fetch_file(store: ObjectStore, file: StoredFile, path: Path) -> None:
    """Download a payload file and check it; a damaged transfer is tried once more.

    Raises
    ------
    StageError
        ObjectCorrupt, if what the store returns is not what was stored.
    """
    for _ in range(2):
        store.download(file.key, path)
        if sha256_of(path) == file.sha256:
            return
    raise transient(
        Reason.OBJECT_CORRUPT,
        f"{store.uri(file.key)} is not what was stored there: its sha256 is not {file.sha256} ({file.bytes} bytes)",
    )

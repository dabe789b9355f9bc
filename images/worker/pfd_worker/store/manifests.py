"""Manifests: the commit point of a stage. Written last, by one conditional put; what has none did not happen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar, cast

from pfd_operator.contract.result import Reason, StageResult
from pfd_worker.errors import StageError, transient
from pfd_worker.store.left import Left, give_todays_form
from pfd_worker.store.objects import ObjectStore

_Summary = TypeVar("_Summary")


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
    summary: Mapping[str, Any]
    result: StageResult
    packages: dict[str, str] = field(default_factory=dict)
    lost: bool = False
    """Whether a stage that wanted one of its files found it gone: nothing that is left of it counts."""
    again: bool = False
    """Whether it holds failures that may have passed: whoever asks for its stage anew has it computed again, and until
    then it counts for those that have it as input."""

    @property
    def stands(self) -> bool:
        """Whether its stage, asked for anew, is found done."""
        return not (self.lost or self.again)

    def told(self, kind: type[_Summary]) -> _Summary:
        """Return the summary as one of `summaries`: that of the stage which has left this manifest."""
        return cast(_Summary, self.summary)

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
            **{name: True for name in ("lost", "again") if getattr(self, name)},
        }
        return json.dumps(content, indent=1, allow_nan=False).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> Manifest:
        """Read what `to_bytes` wrote, of this version or another."""
        parsed = json.loads(content)
        stage, digest = parsed["stage"], parsed["digest"]
        files = {name: StoredFile(file["key"], file["sha256"], file["bytes"]) for name, file in parsed["files"].items()}
        give_todays_form(stage, files, parsed["summary"])
        return cls(
            digest=digest,
            stage=stage,
            index=parsed["index"],
            files=Left(stage, digest, files),
            summary=Left(stage, digest, parsed["summary"]),
            result=StageResult.model_validate(parsed["result"]),
            packages=parsed.get("packages", {}),
            lost=parsed.get("lost", False),
            again=parsed.get("again", False),
        )


def manifest_key(digest: str, index: int | None = None) -> str:
    """Return the key of a stage's manifest, or of one index of it."""
    return f"{stage_folder(digest, index)}manifest.json"


def stage_folder(digest: str, index: int | None = None) -> str:
    """Return the key prefix of a stage, or of one index of it."""
    return f"stages/{digest}/" if index is None else f"stages/{digest}/index-{index:05d}/"


def stored_manifest(store: ObjectStore, digest: str, index: int | None = None) -> Manifest | None:
    """Return a stage's manifest as it is stored, one that does not stand, too."""
    content = store.get(manifest_key(digest, index))
    return None if content is None else Manifest.from_bytes(content)


def indexes_with_manifest(store: ObjectStore, digest: str) -> set[int]:
    """Return the indexes of a stage that have a manifest, one that does not stand, too: by one listing."""
    start, end = f"{stage_folder(digest)}index-", "/manifest.json"
    return {int(key.removeprefix(start).removesuffix(end)) for key in store.list(start) if key.endswith(end)}


def read_manifest(store: ObjectStore, digest: str, index: int | None = None) -> Manifest | None:
    """Return a stage's manifest, None if it has not finished, or is to be computed again."""
    found = stored_manifest(store, digest, index)
    return found if found is not None and found.stands else None


def commit_manifest(store: ObjectStore, manifest: Manifest) -> Manifest | None:
    """Store a manifest unless there is one; return the one that counts, None if the store has neither.

    One that does not stand is replaced.
    """
    place = manifest_key(manifest.digest, manifest.index)
    if store.put_if_absent(place, manifest.to_bytes()):
        return manifest
    first = stored_manifest(store, manifest.digest, manifest.index)
    if first is None or first.stands:
        return first
    store.put(place, manifest.to_bytes())
    return manifest


def mark(store: ObjectStore, manifest: Manifest, *, lost: bool = False, again: bool = False) -> None:
    """Say of a manifest why it does not stand, so that its stage is computed again, unless it has been meanwhile.

    Overwritten, not deleted: keys need no right to delete stages, and an index without a manifest has failed finally.
    """
    if stored_manifest(store, manifest.digest, manifest.index) == manifest:
        marked = replace(manifest, lost=lost or manifest.lost, again=again or manifest.again)
        store.put(manifest_key(manifest.digest, manifest.index), marked.to_bytes())


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
    raise _corrupt(store, file, f"its sha256 is not {file.sha256} ({file.bytes} bytes)")


def fetch_parts(store: ObjectStore, file: StoredFile, places: Sequence[tuple[int, int, str]]) -> bytes | None:
    """Return parts of a payload file that follow one another, and check each; damaged ones are asked for once more.

    Parameters
    ----------
    places
        (first byte, number of bytes, sha256) of each.

    Returns
    -------
    content
        All of them; None if there is no such file.

    Raises
    ------
    StageError
        ObjectCorrupt, if what the store returns is not what was stored.
    """
    start = places[0][0]
    for _ in range(2):
        content = store.get_part(file.key, start, sum(length for _, length, _ in places))
        if content is None:
            return None
        parts = ((content[first - start : first - start + length], sha256) for first, length, sha256 in places)
        if all(hashlib.sha256(part).hexdigest() == sha256 for part, sha256 in parts):
            return content
    raise _corrupt(store, file, f"its bytes from {start} on are others")


def _corrupt(store: ObjectStore, file: StoredFile, how: str) -> StageError:
    return transient(Reason.OBJECT_CORRUPT, f"{store.uri(file.key)} is not what was stored there: {how}")

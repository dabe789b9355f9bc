"""An object store as far as stages need one, and the folder that is one in a shell."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Protocol

from pfd_worker.errors import absent


def scheme_and_place(uri: str) -> tuple[str, str]:
    """Return what is before and after the :// of an address. Unlike on the web, ? and # are part of names."""
    scheme, _, place = uri.partition("://")
    return scheme, place


class ObjectStore(Protocol):
    """Keys and bytes, relative to the root of the job's store."""

    def get(self, key: str) -> bytes | None:
        """Return an object's content, None if there is none."""
        ...

    def get_part(self, key: str, first: int, length: int) -> bytes | None:
        """Return so many bytes of an object, from the first on, fewer at its end; None if there is no object."""
        ...

    def put(self, key: str, content: bytes) -> None:
        """Store an object."""
        ...

    def put_if_absent(self, key: str, content: bytes) -> bool:
        """Store an object unless there is one; of several at a time exactly one succeeds. Return whether we did."""
        ...

    def age_seconds(self, key: str) -> float | None:
        """Return for how long an object has been there unchanged, by the store's own clock; None if there is none."""
        ...

    def list(self, prefix: str) -> list[str]:
        """Return all keys that start with the prefix, sorted."""
        ...

    def upload(self, path: Path, key: str) -> None:
        """Store a file, streaming."""
        ...

    def download(self, key: str, path: Path) -> None:
        """Fetch an object into a file, streaming.

        Raises
        ------
        AbsentError
            If there is no such object.
        """
        ...

    def delete(self, key: str) -> None:
        """Remove an object, if it is there."""
        ...

    def download_uri(self, uri: str, path: Path) -> None:
        """Fetch any address the user gave, also outside the store's root."""
        ...

    def size_of(self, uri: str) -> int:
        """Return the bytes of what such an address points to.

        Raises
        ------
        AbsentError
            If there is nothing.
        """
        ...

    def sizes_below(self, uri: str, most: int) -> dict[str, int]:
        """Return the bytes of each object below an address the user gave, which ends in /, by its name from there on.

        Of at most so many objects: anyone's bucket may hold millions.
        """
        ...

    def uri(self, key: str) -> str:
        """Return an object's address for people."""
        ...


class DirectoryStore:
    """A folder as an object store: what a stage uses outside a cluster, and in tests."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def get(self, key: str) -> bytes | None:
        """Return an object's content, None if there is none."""
        try:
            return (self.root / key).read_bytes()
        except FileNotFoundError:
            return None

    def get_part(self, key: str, first: int, length: int) -> bytes | None:
        """Return so many bytes of an object, from the first on, fewer at its end; None if there is no object."""
        try:
            with (self.root / key).open("rb") as stream:
                stream.seek(first)
                return stream.read(length)
        except FileNotFoundError:
            return None

    def put(self, key: str, content: bytes) -> None:
        """Store an object; a reader sees the old content or the new, never a part."""
        part = self._part(key, content)
        part.replace(self.root / key)

    def put_if_absent(self, key: str, content: bytes) -> bool:
        """Store an object unless there is one: a hard link is atomic and fails if the name is taken."""
        part = self._part(key, content)
        try:
            os.link(part, self.root / key)
        except FileExistsError:
            return False
        finally:
            part.unlink()
        return True

    def age_seconds(self, key: str) -> float | None:
        """Return for how long an object has been there unchanged; None if there is none."""
        try:
            return max(0.0, time.time() - (self.root / key).stat().st_mtime)
        except FileNotFoundError:
            return None

    def list(self, prefix: str) -> list[str]:
        """Return all keys that start with the prefix, sorted."""
        folder = (self.root / prefix) if prefix.endswith("/") else (self.root / prefix).parent
        if not folder.is_dir():
            return []
        keys = (str(path.relative_to(self.root)) for path in folder.rglob("*") if path.is_file())
        return sorted(key for key in keys if key.startswith(prefix) and not Path(key).name.startswith(".part-"))

    def upload(self, path: Path, key: str) -> None:
        """Store a file."""
        part = self._part(key, b"")
        shutil.copyfile(path, part)
        part.replace(self.root / key)

    def download(self, key: str, path: Path) -> None:
        """Fetch an object into a file."""
        if not (self.root / key).is_file():
            raise absent(f"there is no {key} in {self.root}")
        shutil.copyfile(self.root / key, path)

    def delete(self, key: str) -> None:
        """Remove an object, if it is there."""
        (self.root / key).unlink(missing_ok=True)

    def download_uri(self, uri: str, path: Path) -> None:
        """Fetch a file:// address."""
        shutil.copyfile(_file_of(uri), path)

    def size_of(self, uri: str) -> int:
        """Return the bytes of a file:// address."""
        return _file_of(uri).stat().st_size

    def sizes_below(self, uri: str, most: int) -> dict[str, int]:
        """Return the bytes of each file in a folder and those in it, of at most so many, by its path from there on."""
        folder = Path(scheme_and_place(uri)[1])
        files = (path for path in folder.rglob("*") if path.is_file())
        return {str(path.relative_to(folder)): path.stat().st_size for path in islice(files, most)}

    def uri(self, key: str) -> str:
        """Return an object's address for people."""
        return f"file://{self.root / key}"

    def _part(self, key: str, content: bytes) -> Path:
        target = self.root / key
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=".part-", dir=target.parent)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
        return Path(name)


def _file_of(uri: str) -> Path:
    scheme, place = scheme_and_place(uri)
    if scheme != "file" or not Path(place).is_file():
        raise absent(f"{uri}: no such file (a store in a folder reads file:// only)")
    return Path(place)

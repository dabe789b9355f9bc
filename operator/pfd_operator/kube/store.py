"""The custom resources as last heard: never older than what this operator wrote itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json, to_json

from .figures import JobFigures, figures_of
from .kept import kept
from .owner import Owner
from .resources import Key, Snapshot


@dataclass(frozen=True, slots=True)
class _AtRest:
    """A resource that has ended, as JSON: a fifth of the memory, and there may be thousands that nobody looks at."""

    uid: str
    version: int
    body: bytes
    figures: JobFigures


class ResourceStore:
    """Custom resources by kind, namespace and name, and by uid."""

    def __init__(self) -> None:
        self._held: dict[Key, Snapshot | _AtRest] = {}
        self._keys: dict[str, Key] = {}
        self._written: dict[Key, int] = {}
        """Versions that this operator's own last writes made."""
        self._students: dict[Key, set[Key]] = {}
        """DistillJobs that wait for the FineTuneJob they name as teacher, by that one."""
        self._teachers: dict[Key, Key] = {}
        """The same the other way round."""

    def __len__(self) -> int:
        return len(self._held)

    def keep(self, body: Mapping[str, Any]) -> Key:
        """Keep a resource, unless a newer version of it is held; return its key."""
        snapshot = Snapshot(kept(body))
        held = self._held.get(snapshot.key)
        # a status write and the watch answer in any order: neither must undo the other, nor bring one back that was
        # replaced by another of its name
        if held is None or held.version < snapshot.version:
            if held is not None and held.uid != snapshot.uid:
                self._keys.pop(held.uid, None)
            self._held[snapshot.key] = _packed(snapshot) if snapshot.ended else snapshot
            self._keys[snapshot.uid] = snapshot.key
            self._note_teacher(snapshot.key, snapshot.teacher_key)
        return snapshot.key

    def keep_written(self, snapshot: Snapshot) -> None:
        """Keep a resource as a write of ours left it, unless the watch has told meanwhile that it is gone."""
        if self.uid_of(snapshot.key) != snapshot.uid:
            return
        self._written[self.keep(snapshot.body)] = snapshot.version

    def written(self, key: Key) -> int:
        """Return the version that our last write of a resource made; 0 if there was none."""
        return self._written.get(key, 0)

    def remove(self, key: Key, uid: str) -> None:
        """Forget a deleted resource, unless a new one has its name already."""
        if self._keys.pop(uid, None) is not None:
            del self._held[key]
            self._written.pop(key, None)
            self._note_teacher(key, None)

    def get(self, key: Key) -> Snapshot | None:
        """Return a resource."""
        held = self._held.get(key)
        return _unpacked(held) if isinstance(held, _AtRest) else held

    def uid_of(self, key: Key) -> str | None:
        """Return the uid of the resource that is held under a key."""
        held = self._held.get(key)
        return None if held is None else held.uid

    def version_of(self, key: Key) -> int:
        """Return the version of the resource that is held under a key; 0 if there is none."""
        held = self._held.get(key)
        return 0 if held is None else held.version

    def key_of(self, owner: Owner) -> Key | None:
        """Return the key of the resource that an object belongs to."""
        key = self._keys.get(owner.uid)
        return key if key is not None and key.namespace == owner.namespace else None

    def uids(self) -> dict[str, Key]:
        """Return the keys of all resources held, by uid."""
        return dict(self._keys)

    def students_of(self, teacher: Key) -> list[Key]:
        """Return the jobs that wait for this one; those that have started go on without it."""
        return list(self._students.get(teacher, ()))

    def figures(self) -> Iterator[JobFigures]:
        """Return what metrics count of all resources, one after the other."""
        return (held.figures if isinstance(held, _AtRest) else figures_of(held) for held in self._held.values())

    def _note_teacher(self, student: Key, teacher: Key | None) -> None:
        """Take note of whom a resource waits for; None if it waits for nobody, any more."""
        before = self._teachers.pop(student, None)
        if before is not None:
            self._students[before].discard(student)
            if not self._students[before]:
                del self._students[before]
        if teacher is not None:
            self._teachers[student] = teacher
            self._students.setdefault(teacher, set()).add(student)


def _packed(snapshot: Snapshot) -> _AtRest:
    return _AtRest(snapshot.uid, snapshot.version, to_json(snapshot.body), figures_of(snapshot))


def _unpacked(held: _AtRest) -> Snapshot:
    return Snapshot(from_json(held.body))

"""The custom resources as last heard: never older than what this operator wrote itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .resources import Key, Snapshot


class ResourceStore:
    """Custom resources by kind, namespace and name, and by uid."""

    def __init__(self) -> None:
        self._snapshots: dict[Key, Snapshot] = {}
        self._keys: dict[str, Key] = {}
        self._written: dict[Key, int] = {}
        """Versions that this operator's own last writes made."""
        self._students: dict[Key, set[Key]] = {}
        """DistillJobs by the FineTuneJob they name as teacher."""

    def __len__(self) -> int:
        return len(self._snapshots)

    def keep(self, body: Mapping[str, Any]) -> Key:
        """Keep a resource, unless a newer version of it is held; return its key."""
        metadata = {name: value for name, value in body["metadata"].items() if name != "managedFields"}
        snapshot = Snapshot({**body, "metadata": metadata})
        held = self._snapshots.get(snapshot.key)
        if held is not None and held.uid != snapshot.uid:
            self._keys.pop(held.uid, None)
        if held is None or held.uid != snapshot.uid or held.version < snapshot.version:
            # a status write answers before the watch does: an event of an older version must not undo it
            self._snapshots[snapshot.key] = snapshot
            self._keys[snapshot.uid] = snapshot.key
            teacher = snapshot.teacher_key
            if teacher is not None and snapshot.waits:
                self._students.setdefault(teacher, set()).add(snapshot.key)
        return snapshot.key

    def keep_written(self, snapshot: Snapshot) -> None:
        """Keep a resource as a write of ours left it."""
        self._written[self.keep(snapshot.body)] = snapshot.version

    def written(self, key: Key) -> int:
        """Return the version that our last write of a resource made; 0 if there was none."""
        return self._written.get(key, 0)

    def remove(self, key: Key, uid: str) -> None:
        """Forget a deleted resource, unless a new one has its name already."""
        if self._keys.pop(uid, None) is not None:
            del self._snapshots[key]
            self._written.pop(key, None)

    def forget(self, key: Key) -> None:
        """Forget a resource that is known to be gone."""
        snapshot = self._snapshots.pop(key, None)
        self._written.pop(key, None)
        if snapshot is not None:
            self._keys.pop(snapshot.uid, None)

    def get(self, key: Key) -> Snapshot | None:
        """Return a resource."""
        return self._snapshots.get(key)

    def key_of(self, uid: str) -> Key | None:
        """Return the key of the resource with this uid."""
        return self._keys.get(uid)

    def students_of(self, teacher: Key) -> list[Key]:
        """Return the jobs that wait for this one; those that have started go on without it."""
        students = (self._snapshots.get(key) for key in self._students.get(teacher, ()))
        waiting = [student.key for student in students if student is not None and student.waits]
        if not waiting:
            self._students.pop(teacher, None)
        return waiting

    def snapshots(self) -> list[Snapshot]:
        """Return all resources."""
        return list(self._snapshots.values())

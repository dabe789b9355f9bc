"""Progress reports of running stages, coalesced: at most one status write per job and interval."""

from __future__ import annotations

import time
from dataclasses import dataclass

from pfd_operator.contract.result import Progress
from pfd_operator.kube.resources import Key

INTERVAL_SECONDS = 10.0


@dataclass
class _Entry:
    job: str
    latest: Progress
    shown: Progress | None = None
    shown_at: float = float("-inf")


class ProgressBoard:
    """The last report of each resource's running Job, released to the planner at intervals."""

    def __init__(self, interval_seconds: float = INTERVAL_SECONDS) -> None:
        self._interval = interval_seconds
        self._entries: dict[Key, _Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def report(self, key: Key, job: str, progress: Progress) -> float:
        """Take a report of a resource's running Job; return the seconds until it may be shown."""
        entry = self._entries.get(key)
        if entry is None or entry.job != job:
            entry = self._entries[key] = _Entry(job, progress)
        entry.latest = progress
        return self._seconds_left(entry)

    def shown(self, key: Key, active: str | None) -> Progress | None:
        """Return what the planner may see now of the progress of a resource's running Job; forget that of another."""
        entry = self._entries.get(key)
        if entry is None or entry.job != active:
            self.forget(key)
            return None
        if self.due_in(key, active) == 0:
            entry.shown, entry.shown_at = entry.latest, time.monotonic()
        return entry.shown

    def due_in(self, key: Key, active: str | None) -> float | None:
        """Return the seconds until a withheld report of a running Job may be shown; None if none is withheld."""
        entry = self._entries.get(key)
        if entry is None or entry.job != active or entry.latest is entry.shown:
            return None
        return self._seconds_left(entry)

    def _seconds_left(self, entry: _Entry) -> float:
        return max(0.0, entry.shown_at + self._interval - time.monotonic())

    def forget(self, key: Key) -> None:
        """Forget a resource."""
        self._entries.pop(key, None)

"""Progress reports of running stages, coalesced: at most one status write per job and interval."""

from __future__ import annotations

import time
from dataclasses import dataclass

from pfd_operator.contract.result import Progress

INTERVAL_SECONDS = 10.0


@dataclass
class _Entry:
    latest: Progress
    shown: Progress | None = None
    shown_at: float = float("-inf")


class ProgressBoard:
    """The last report of each Job, released to the planner at intervals."""

    def __init__(self, interval_seconds: float = INTERVAL_SECONDS) -> None:
        self._interval = interval_seconds
        self._entries: dict[tuple[str, str], _Entry] = {}

    def report(self, namespace: str, job: str, progress: Progress) -> float:
        """Take a report; return the seconds until it may be shown."""
        entry = self._entries.setdefault((namespace, job), _Entry(progress))
        entry.latest = progress
        return max(0.0, entry.shown_at + self._interval - time.monotonic())

    def shown(self, namespace: str, job: str) -> Progress | None:
        """Return what the planner may see of a Job's progress now."""
        entry = self._entries.get((namespace, job))
        if entry is None:
            return None
        if entry.latest is not entry.shown and time.monotonic() - entry.shown_at >= self._interval:
            entry.shown, entry.shown_at = entry.latest, time.monotonic()
        return entry.shown

    def keep_only(self, namespace: str, resource_jobs: set[str], active: str | None) -> None:
        """Forget the Jobs of a resource but the active one."""
        for job in resource_jobs - {active}:
            self._entries.pop((namespace, job), None)

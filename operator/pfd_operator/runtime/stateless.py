"""What kopf remembers of an object between its events: nothing. Only handlers of changes need it, and we have none.

As shipped kopf copies every object deeply for each event, status and managedFields included, to compare it with the
last one. That was half of what an event of a custom resource cost.
"""

from __future__ import annotations

from typing import Any

import kopf


class NoDiffBase(kopf.DiffBaseStorage):
    """No object has a last state to compare with."""

    def build(self, **_: Any) -> Any:
        """Return an essence that is the same for all."""
        return {}

    def fetch(self, **_: Any) -> None:
        """Return that nothing was stored."""

    def store(self, **_: Any) -> None:
        """Store nothing."""


class NoProgress(kopf.ProgressStorage):
    """No handler has progress: `kopf.on.event` is called once for each event."""

    def fetch(self, **_: Any) -> None:
        """Return that nothing was stored."""

    def store(self, **_: Any) -> None:
        """Store nothing."""

    def purge(self, **_: Any) -> None:
        """Nothing is there to be purged."""

    def touch(self, **_: Any) -> None:
        """Touch nothing."""

    def clear(self, *, essence: Any) -> Any:
        """Return the essence: no progress is in it."""
        return essence

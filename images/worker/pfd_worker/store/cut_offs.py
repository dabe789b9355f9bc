"""Calculations that were killed together with what ran them: how often, as attempts at one index note for the next."""

from __future__ import annotations

from collections import Counter

from pfd_worker.store.objects import ObjectStore


class CutOffs:
    """The notes of one owner of claims.

    Parameters
    ----------
    store
        The object store.
    owner
        As of `LabelStore`.
    """

    def __init__(self, store: ObjectStore, owner: str) -> None:
        self._store = store
        self._prefix = f"claims/cut-off/{owner}/"
        self.counts = Counter(name.removeprefix(self._prefix).partition(".")[0] for name in store.list(self._prefix))
        """How often, by key of the label."""

    def note(self, key: str, count: int) -> None:
        """Note that a calculation was cut off for so many times; again is no other time."""
        self._store.put(f"{self._prefix}{key}.{count}", b"{}")

    def forget(self) -> None:
        """Remove all notes, when no other attempt will need them."""
        for name in self._store.list(self._prefix):
            self._store.delete(name)

"""The ledger: which labels a job paid for, one object each, so that no retry counts twice and nothing is forgotten."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any, Literal

from pfd_operator.contract.result import LabelCounts
from pfd_worker.store.objects import ObjectStore

Outcome = Literal["paid", "reused", "failed"]


def sound_labels(entry: Mapping[str, Any]) -> int:
    """Return how many labels of a calculation came: of AIMD that failed on its way, those before.

    Manifests of earlier versions say `ok` only: all or none.
    """
    return int(entry.get("sound", entry["labels"] if entry["ok"] else 0))


class Ledger:
    """The label accounts of one job.

    An entry's key says all that is counted, so counting is one listing and no reads.
    """

    def __init__(self, store: ObjectStore, uid: str) -> None:
        self._store = store
        self._uid = uid
        self._prefix = f"jobs/{uid}/ledger/"

    def record(self, key: str, outcome: Outcome, labels: int) -> None:
        """Enter a label once; a second entry for the same label changes nothing."""
        if not any(
            self._store.exists(f"{self._prefix}{key}.{other}.{labels}") for other in ("paid", "reused", "failed")
        ):
            self._store.put_if_absent(f"{self._prefix}{key}.{outcome}.{labels}", json.dumps({"key": key}).encode())

    def enter(self, entry: Mapping[str, Any]) -> None:
        """Enter what a calculation cost once: labels that came and those that failed, or all that others paid.

        Parameters
        ----------
        entry
            key, paid_by (a job's uid), labels, and what `sound_labels` reads.
        """
        key, labels = entry["key"], entry["labels"]
        if entry["paid_by"] != self._uid:
            self.record(key, "reused", labels)
            return
        sound = sound_labels(entry)
        if sound:
            self.record(key, "paid", sound)
        if sound < labels:
            # another key: half of a trajectory's steps may have come, and an entry is told by key and number
            self.record(f"{key}-failed" if sound else key, "failed", labels - sound)

    def waste(self, key: str, labels: int) -> None:
        """Enter a calculation that a kill cut off, or whose result came second; each time counts."""
        self._store.put(f"{self._prefix}{key}-{uuid.uuid4().hex[:8]}.wasted.{labels}", b"{}")

    def count(self) -> LabelCounts:
        """Return what the job's labels add up to."""
        totals = {"paid": 0, "reused": 0, "failed": 0, "wasted": 0}
        for key in self._store.list(self._prefix):
            _, outcome, labels = key.rsplit(".", 2)
            totals[outcome] += int(labels)
        totals["paid"] += totals["failed"]
        return LabelCounts(**totals)

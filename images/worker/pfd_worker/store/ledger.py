"""The ledger: which labels a job paid for, one object each, so that no retry counts twice and nothing is forgotten."""

from __future__ import annotations

import json
import uuid
from typing import Literal

from pfd_operator.contract.result import LabelCounts
from pfd_worker.store.objects import ObjectStore

Outcome = Literal["paid", "reused", "failed"]


class Ledger:
    """The label accounts of one job.

    An entry's key says all that is counted, so counting is one listing and no reads.
    """

    def __init__(self, store: ObjectStore, uid: str) -> None:
        self._store = store
        self._prefix = f"jobs/{uid}/ledger/"

    def record(self, key: str, outcome: Outcome, labels: int) -> None:
        """Enter a label once; a second entry for the same label changes nothing."""
        if not any(
            self._store.exists(f"{self._prefix}{key}.{other}.{labels}") for other in ("paid", "reused", "failed")
        ):
            self._store.put_if_absent(f"{self._prefix}{key}.{outcome}.{labels}", json.dumps({"key": key}).encode())

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

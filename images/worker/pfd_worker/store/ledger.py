"""The ledger: which labels a job paid for, one object each, so that no retry counts twice and nothing is forgotten."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from pfd_operator.contract.result import LabelCounts
from pfd_worker.store.at_once import at_once
from pfd_worker.store.objects import ObjectStore


@dataclass(frozen=True)
class BookEntry:
    """What a calculation cost, or all that a teacher labelled in one index."""

    key: str
    paid_by: str
    """uid of the job that computed it."""
    labels: int
    """SCF cycles, or a teacher's frames, that it stands for."""
    sound: int
    """Those that came: of AIMD that failed on its way, the steps before."""
    seconds: float

    @property
    def failed(self) -> int:
        """Those that were paid for and did not come."""
        return self.labels - self.sound


class Ledger:
    """The label accounts of one job.

    An entry's name says all that is counted, so counting is one listing and no reads.
    """

    def __init__(self, store: ObjectStore, uid: str) -> None:
        self._store = store
        self._uid = uid
        self._prefix = f"jobs/{uid}/ledger/"

    def enter(self, entry: BookEntry) -> None:
        """Enter what a calculation cost: a second entry of the same key changes nothing.

        Of what two attempts may find differently, only what one of them has committed may be entered.
        """
        name = f"paid.{entry.labels}.{entry.failed}" if entry.paid_by == self._uid else f"reused.{entry.labels}.0"
        self._store.put_if_absent(f"{self._prefix}{entry.key}.{name}", b"{}")

    def enter_all(self, entries: Iterable[BookEntry]) -> None:
        """Enter many, several at a time."""
        at_once(self.enter, entries)

    def waste(self, key: str, labels: int) -> None:
        """Enter a calculation that a kill cut off, or whose result came second; each time counts."""
        self._store.put(f"{self._prefix}{key}-{uuid.uuid4().hex[:8]}.wasted.{labels}.0", b"{}")

    def count(self) -> LabelCounts:
        """Return what the job's labels add up to."""
        return self.read()[0]

    def read(self) -> tuple[LabelCounts, set[str]]:
        """Return what the job's labels add up to, and the keys of those it paid for."""
        # should a label be there no longer, and be paid for by another job, it is paid for and not reused all the same
        entries: dict[str, list[str]] = {}
        for name in sorted(self._store.list(self._prefix)):
            key, *found = name.removeprefix(self._prefix).rsplit(".", 3)
            entries.setdefault(key, found)
        totals = {"paid": 0, "reused": 0, "failed": 0, "wasted": 0}
        for outcome, labels, failed in entries.values():
            totals[outcome] += int(labels)
            totals["failed"] += int(failed)
        paid = {key for key, (outcome, *_) in entries.items() if outcome == "paid"}
        return LabelCounts(**totals), paid

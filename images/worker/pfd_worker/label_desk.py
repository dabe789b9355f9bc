"""The label desk: what of a task list is there, what is ours to compute, what others compute; and the books of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from ase import Atoms

from pfd_operator.contract.engine import Engine
from pfd_operator.contract.result import Reason
from pfd_worker.errors import StageError, preempted, transient
from pfd_worker.label_budget import Cost, check_budget
from pfd_worker.label_entries import Entry, entries_of
from pfd_worker.label_files import Failure, frame_from_json, frame_to_json, label_output, read_tasks, tasks_of
from pfd_worker.labelers.base import LASTING_FAILURES, LabelFailure, Verdict
from pfd_worker.stage_context import StageContext, StageOutput
from pfd_worker.store.at_once import at_once
from pfd_worker.store.cut_offs import CutOffs
from pfd_worker.store.labels import LabelRecord, LabelStore
from pfd_worker.store.lease import Lease
from pfd_worker.store.ledger import Ledger

_WAIT_SECONDS = 2.0
_CUT_OFFS = 3
"""So often a calculation may be cut off before it counts as failed: one less than the pods of an index."""
_KILLED = Verdict(
    reason=LabelFailure.ENGINE_KILLED,
    message=f"what ran it was lost {_CUT_OFFS} times. Most likely the container was out of memory: raise "
    "spec.pods.label.resources.limits.memory, or use smaller frames. Or its nodes went: their events say so. Or S3 was "
    "away, or temporary keys for it expired, when it ended.",
)
_log = logging.getLogger(__name__)


class LabelDesk:
    """Labels of one index of a label stage.

    A label is stored before it is entered in the ledger. A kill between the two loses nothing: the record says who
    paid, and the next attempt enters it. A failure whose cause is no part of the label's key is stored and entered
    under the stage's own: final for the stage, and another calculation in the books when another stage tries, or the
    same one after a job was given up for it.
    """

    def __init__(self, context: StageContext, engine: Engine) -> None:
        self.context = context
        spec = context.spec
        self._labels = LabelStore(context.store, f"{spec.job.uid}/{spec.digest}/{context.index}")
        self._ledger = Ledger(context.store, spec.job.uid)
        self.lease = Lease(self._labels, context.stopping)
        self._cut_offs = CutOffs(context.store, self._labels.owner)
        self._begun: Collection[Entry] = ()
        self._engine = engine
        self._tasks = read_tasks(context)
        self.entries = self._entries(context.index or 0)
        self.records: dict[str, LabelRecord] = {}
        self.ours: list[Entry] = []

    def triage(self) -> list[Entry]:
        """Take what is stored, claim what is free; return what is ours to compute, equal structures once.

        What was cut off before comes last: whatever kills its container takes none of the others along.

        Raises
        ------
        OverBudgetError
            As `check_budget`.
        """
        at_once(self._take_stored, self.entries)
        if not all(entry.key in self.records for entry in self.entries):
            check_budget(self.context, self._tasks, self._costs)
        first = {entry.key: entry for entry in reversed(self.entries)}
        claimed = at_once(self._claim, [entry for entry in first.values() if entry.key not in self.records])
        todo = [entry for entry in claimed if entry is not None and entry.key not in self.records]
        return sorted(todo, key=lambda entry: (entry.key in self._cut_offs.counts, entry.number))

    def _costs(self, paid: Collection[str]) -> list[Cost]:
        entries = self._entries(None, paid)
        return [Cost((each.key, each.own_key), each.task.labels, partial(self._is_free, each)) for each in entries]

    def _entries(self, index: int | None, but: Collection[str] = ()) -> list[Entry]:
        return entries_of(self.context, self._engine, tasks_of(self.context, self._tasks, index), but)

    def _is_free(self, entry: Entry) -> bool:
        if self.context.stopping.is_set():
            raise preempted("stopped while labels of the stage were counted; nothing was begun")
        # one that is ours and not yet entered was paid for
        record = self._stored(entry)
        return record is not None and record.paid_by != self.context.spec.job.uid

    def _claim(self, entry: Entry) -> Entry | None:
        if self.context.stopping.is_set():
            raise preempted("stopped while calculations were claimed; the claims are given back")
        self.lease.keep()
        ours, taken_from = self._labels.claim(entry.key)
        if not ours:
            return None
        # Its former owner may have stored the label between our look and our claim.
        if self._take_stored(entry):
            self._labels.release(entry.key, settled=True)
            return None
        self.ours.append(entry)
        if taken_from is not None:
            self._take_over(entry, taken_from)
        return entry

    def _take_over(self, entry: Entry, owner: str) -> None:
        own = owner == self._labels.owner
        words = self.lease.before if own else self._labels.last_words(owner)
        if words.computing is not None and entry.key not in words.computing:
            return
        if own and words.computing is not None and not words.stopping:
            self._cut_off(entry, _KILLED)
        else:
            self._ledger.waste(entry.key, entry.task.labels)
        if own:
            self.lease.took_over(entry.key)

    def begin(self, entries: Collection[Entry], finished: Collection[Entry] = ()) -> None:
        """Say what is computed from now on: should that be killed, the next attempt knows what was cut off.

        Parameters
        ----------
        finished
            Of these, whose results are not stored yet: they may be lost, but nothing that they do is the cause.
        """
        self._begun = entries
        self.lease.computes([entry.key for entry in entries if entry not in finished])

    def lose(self, entry: Entry, verdict: Verdict = _KILLED) -> bool:
        """Enter that a calculation ended with what ran it, and give its claim back; return as `_cut_off`."""
        is_final = self._cut_off(entry, verdict)
        self._labels.release(entry.key)
        return is_final

    def _cut_off(self, entry: Entry, verdict: Verdict) -> bool:
        """Enter that a calculation of ours ended with what ran it; return whether the verdict on it is stored now.

        Most often that is no fault of the calculation: its node was lost, or the GPU failed. With the memory of a whole
        container at an end, though, the kernel may kill all of it, and it would be the same frame again in every
        attempt, and no other after it. So the third time it is a failed label.
        """
        count = self._cut_offs.counts[entry.key] + 1
        if count >= _CUT_OFFS:
            self._store(entry, verdict, 0.0)
            return True
        self._cut_offs.note(entry.key, count)
        self._ledger.waste(entry.key, entry.task.labels)
        # not before: who was refused by the store may ask again
        self._cut_offs.counts[entry.key] = count
        return False

    def claims(self) -> list[tuple[int, int]]:
        """Return (number of the entry, generation of our claim on it), for another container of this pod."""
        generations = self._labels.generations
        return [(entry.number, generations[entry.key]) for entry in self.ours if entry.key in generations]

    def adopt(self, claims: Sequence[tuple[int, int]]) -> None:
        """Go on with the claims that another container of this pod made."""
        # that one has ended, and what is to be looked up takes its time
        self.lease.keep()
        generations = dict(claims)
        self.ours = [entry for entry in self.entries if entry.number in generations]
        self._labels.generations |= {entry.key: generations[entry.number] for entry in self.ours}
        at_once(self._take_stored, [entry for entry in self.entries if entry.number not in generations])

    def settle(self, entry: Entry, verdict: Verdict, seconds: float) -> None:
        """Store a verdict, enter it, give the claim back.

        Raises
        ------
        StageError
            EngineLost (transient), if the machine failed and not the calculation: whatever comes after it would, too.
        """
        if not verdict.by_machine:
            self._store(entry, verdict, seconds)
        elif not self.lose(entry, verdict):
            raise transient(
                Reason.ENGINE_LOST,
                f"calculation {entry.number} met a fault of this machine's GPU, disk or network, and is tried again in "
                f"another pod. If it meets it again and again, look at the nodes: {verdict.message}",
            )

    def _store(self, entry: Entry, verdict: Verdict, seconds: float) -> None:
        lasting = verdict.ok or verdict.reason in LASTING_FAILURES
        record = LabelRecord(
            key=entry.key if lasting else entry.own_key,
            paid_by=self.context.spec.job.uid,
            labels=entry.task.labels,
            ok=verdict.ok,
            frames=[frame_to_json(frame) for frame in verdict.frames],
            engine=entry.described,
            seconds=round(seconds, 3),
            reason=verdict.reason or "",
            message=verdict.message,
            stage="" if lasting else self.context.spec.digest,
        )
        if not self._labels.save(record) and self._labels.get(record.key) != record:
            self._ledger.waste(entry.key, entry.task.labels)
        self._take_stored(entry)
        self._labels.release(entry.key, settled=lasting)
        self.lease.keep()
        done = len(self.records)
        outcome = "labelled" if verdict.ok else f"failed: {verdict.reason}"
        self.context.progress(100 * done / len(self.entries), f"calculation {entry.number} {outcome}")

    @contextmanager
    def claims_freed(self) -> Iterator[None]:
        """If the work ends by an error, free what is not settled, so that nobody waits for it."""
        try:
            yield
        except BaseException:
            self._give_up()
            raise

    def _give_up(self) -> None:
        def free(entry: Entry) -> None:
            if entry in self._begun and entry.key in self._labels.generations:
                self._ledger.waste(entry.key, entry.task.labels)
            self._labels.release(entry.key)

        try:
            # first, by one request: a store that is away would be waited for by each
            self.lease.give_up()
            at_once(free, [entry for entry in self.ours if entry.key not in self.records])
            self.lease.leave()
        except StageError as error:
            _log.warning("claims are not given back: %s", error.message)

    def leave(self) -> None:
        """End the keeping of claims: all are settled."""
        self._labels.leave()
        self._cut_offs.forget()

    def all_there(self) -> bool:
        """Wait for what others compute; return whether all is there: not if somebody gave up what is free now."""
        for entry in self.entries:
            while entry.key not in self.records and not self._take_stored(entry):
                if self.context.stopping.is_set():
                    raise preempted("stopped while waiting for labels another job computes")
                if not self._labels.claimed(entry.key) and not self._take_stored(entry):
                    return False
                time.sleep(_WAIT_SECONDS)
        return True

    def output(self) -> StageOutput:
        """Return labels and failures of this index as the stage's files."""
        frames: list[Atoms] = []
        failures = []
        for entry in self.entries:
            record = self.records[entry.key]
            frames += [frame_from_json(frame, entry.task.info | {"label_key": entry.key}) for frame in record.frames]
            if not record.ok:
                failures.append(Failure(entry.number, entry.key, record.reason, record.message))
        # once each, as they are paid for: tasks of equal structures share one
        records = [self.records[key] for key in dict.fromkeys(entry.key for entry in self.entries)]
        books = [record.cost for record in records]
        reused = sum(record.labels for record in records if record.paid_by != self.context.spec.job.uid)
        return label_output(self.context, frames, failures, books, reused)

    def _stored(self, entry: Entry) -> LabelRecord | None:
        return self._labels.get(entry.key) or self._labels.get(entry.own_key)

    def _take_stored(self, entry: Entry) -> bool:
        if entry.key in self.records:
            return True
        record = self._stored(entry)
        if record is None:
            return False
        self._ledger.enter(record.cost)
        self.records[entry.key] = record
        return True

"""What can go wrong, how often it is drawn, and the book in which everything that was done is counted."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from dataclasses import dataclass
from enum import StrEnum


class Fault(StrEnum):
    """Everything the suite does to the operator and to its Jobs."""

    # between the operator and the API server
    RESET = "connection-reset"
    CONFLICT = "answered-409"
    TOO_MANY_REQUESTS = "answered-429"
    SERVER_ERROR = "answered-500"
    UNAVAILABLE = "answered-503"
    GATEWAY_TIMEOUT = "answered-504-after-the-work-was-done"
    ANSWER_LOST = "answer-lost-after-the-work-was-done"
    LATE_REQUEST = "request-reached-the-server-late"
    SLOW_ANSWER = "slow-answer"
    NO_ANSWER = "no-answer"
    OLD_LIST = "old-list"
    WATCH_CUT = "watch-cut"
    WATCH_SILENT = "watch-silent"
    WATCH_LATE = "watch-late"
    WATCH_EXPIRED = "watch-answered-410"
    # the operator's process
    KILLED = "operator-killed-at-a-random-instant"
    KILLED_BEFORE_WRITE = "operator-killed-before-its-write-reached-the-server"
    KILLED_AFTER_WRITE = "operator-killed-after-its-write-was-done"
    REPLACED = "operator-replaced-by-another-pod"
    CLOCK_STEPPED = "operator's-clock-stepped"
    # between the pods and S3
    STORE_RESET = "s3-connection-reset"
    STORE_BUSY = "s3-answered-503"
    STORE_ERROR = "s3-answered-500"
    STORE_SLOW = "s3-slow-answer"
    STORE_TRUNCATED = "s3-answer-truncated"
    STORE_ANSWER_LOST = "s3-answer-lost-after-the-work-was-done"
    STORE_DOWN = "s3-refused-all-for-a-while"
    # Jobs, pods and nodes
    JOB_DELETED = "job-deleted-by-hand"
    POD_DELETED = "pod-deleted-by-hand"
    POD_EVICTED = "pod-evicted"
    NODE_DRAINED = "node-drained"
    NODE_LOST = "node-lost"
    POD_LINGERED = "pod-took-longer-to-end-than-the-operator-waits"
    EXIT_TRANSIENT = "exit-code-75"
    EXIT_PREEMPTED = "exit-code-85"
    EXIT_UNKNOWN = "exit-code-1-without-a-message"
    RESULT_LOST = "exit-code-0-without-a-message"
    NODE_PRESSURE = "pod-evicted-by-its-kubelet"


KILLS = (Fault.KILLED, Fault.KILLED_BEFORE_WRITE, Fault.KILLED_AFTER_WRITE)
_ANY = {
    Fault.RESET: 2.0,
    Fault.TOO_MANY_REQUESTS: 1.5,
    Fault.SERVER_ERROR: 1.5,
    Fault.UNAVAILABLE: 1.0,
    Fault.SLOW_ANSWER: 1.5,
    Fault.NO_ANSWER: 0.15,
}
"""Percent of requests."""
_WRITES = {
    **_ANY,
    Fault.CONFLICT: 1.5,
    Fault.GATEWAY_TIMEOUT: 1.5,
    Fault.ANSWER_LOST: 3.0,
    Fault.LATE_REQUEST: 1.5,
}
_LISTS = {**_ANY, Fault.OLD_LIST: 10.0}
_WATCHES = {
    Fault.RESET: 3.0,
    Fault.TOO_MANY_REQUESTS: 2.0,
    Fault.SERVER_ERROR: 2.0,
    Fault.WATCH_CUT: 20.0,
    Fault.WATCH_SILENT: 5.0,
    Fault.WATCH_LATE: 8.0,
    Fault.WATCH_EXPIRED: 4.0,
}
_STORAGE = {
    Fault.STORE_RESET: 1.0,
    Fault.STORE_BUSY: 1.0,
    Fault.STORE_ERROR: 0.5,
    Fault.STORE_SLOW: 0.5,
    Fault.STORE_TRUNCATED: 1.0,
    Fault.STORE_ANSWER_LOST: 1.0,
}
_PODS = {
    Fault.EXIT_TRANSIENT: 2.0,
    Fault.EXIT_PREEMPTED: 2.0,
    Fault.EXIT_UNKNOWN: 1.0,
    Fault.RESULT_LOST: 1.0,
    Fault.NODE_PRESSURE: 2.0,
}


class Book:
    """What was done: how often, and to which Job."""

    def __init__(self) -> None:
        self.counts: Counter[Fault] = Counter()
        self.ended_attempts: defaultdict[str, list[Fault]] = defaultdict(list)
        """By Job: what was done to it that may end its attempt, so that another Job of its stage is no double."""

    def note(self, fault: Fault) -> None:
        """Count a fault."""
        self.counts[fault] += 1

    def note_job(self, fault: Fault, job: str) -> None:
        """Say that a Job's attempt may have ended by this."""
        self.ended_attempts[job].append(fault)

    @property
    def kills(self) -> int:
        """How often the operator was killed."""
        return sum(self.counts[fault] for fault in KILLS)


@dataclass(frozen=True)
class Request:
    """What the weather depends on."""

    write: bool = False
    list: bool = False
    watch: bool = False


class Weather:
    """Draws faults while `bad` is set; each kind is counted by whoever carries it out.

    Parameters
    ----------
    seed
        Of the draws. What they hit depends on timing too: a seed repeats the dice, not the run.
    """

    def __init__(self, seed: str) -> None:
        self.random = random.Random(seed)
        self.bad = False

    def of_request(self, request: Request) -> Fault | None:
        """Draw what happens to a request."""
        table = _WATCHES if request.watch else _LISTS if request.list else _WRITES if request.write else _ANY
        return self._draw(table)

    def of_storage(self) -> Fault | None:
        """Draw what happens to a request to S3."""
        return self._draw(_STORAGE)

    def of_pod(self) -> Fault | None:
        """Draw what happens to a pod that runs."""
        return self._draw(_PODS)

    def _draw(self, table: dict[Fault, float]) -> Fault | None:
        if not self.bad:
            return None
        number = self.random.uniform(0, 100)
        for fault, percent in table.items():
            number -= percent
            if number < 0:
                return fault
        return None

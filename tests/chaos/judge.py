"""The judge: from what instruments outside the operator saw to counts that must be 0. No I/O."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from .faults import KILLS, Fault

BUSINESS_AS_USUAL = frozenset({404, 409, 410, 429})
"""Refusals that are part of working with an API server; any other 4xx is a mistake or a missing right."""
LEASE_LOST = re.compile(r"the lease \S+ is lost")
"""Without it the operator must not act: it is right to end then."""
EVERY_FAULT_FROM_KILLS = 200
"""In a run this long, a fault that never came was not drawn or not done: nothing was shown about it."""
_NOT_DONE = frozenset({Fault.POD_LINGERED})
"""Comes of a busy machine, or does not."""
_ATTEMPT = re.compile(r"-a\d+$")


@dataclass(frozen=True)
class Ending:
    """The terminal state of a resource, as far as it must not depend on faults."""

    phase: str
    reason: str
    iteration: int
    labels: int
    """Paid by this job, or reused of another's."""
    stages: tuple[str, ...]
    met: tuple[bool, ...]
    model_iteration: int | None

    @classmethod
    def of(cls, status: Mapping[str, Any]) -> Ending:
        """Return the ending that a status shows."""
        ready: Mapping[str, Any] = next((item for item in status.get("conditions", ()) if item["type"] == "Ready"), {})
        labels = status.get("labels", {})
        return cls(
            phase=status.get("phase", ""),
            reason=ready.get("reason", ""),
            iteration=status.get("iteration", 0),
            labels=labels.get("paid", 0) + labels.get("reused", 0),
            stages=tuple(f"{record.get('iteration', 0)}/{record['stage']}" for record in status.get("stages", ())),
            met=tuple(record.get("met", False) for record in status.get("iterations", ())),
            model_iteration=status["model"].get("iteration") if status.get("model") else None,
        )


@dataclass(frozen=True)
class Expected:
    """What a job must come to without faults. All the rest is taken from the run itself."""

    phase: str
    reason: str
    met: tuple[bool, ...] = ()
    """By iteration: whether the errors were within the limits."""

    def wrong(self, found: Ending | None) -> str:
        """Return what is wrong with an ending; nothing if it is as expected."""
        if found is None:
            return "no job of it has ended"
        parts = (
            f"{name} is {getattr(found, name)!r}, expected {value!r}"
            for name, value in vars(self).items()
            if getattr(found, name) != value
        )
        return "; ".join(parts)


@dataclass(frozen=True)
class Ended:
    """A resource that came to its end."""

    name: str
    expected: Ending
    found: Ending
    prefix: str
    digests: frozenset[str] = frozenset()
    """Of its recorded stages."""


@dataclass(frozen=True)
class Exit:
    """The operator ended, and nobody had asked for it."""

    code: int
    log: str
    """All that it said since it was started."""


@dataclass
class Evidence:
    """What was seen."""

    operator_user: str
    audit: Sequence[Mapping[str, Any]] = ()
    """Events of the API server's audit log, the oldest first."""
    ended_attempts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By Job: what was done to it, or to its pods, so that its attempt may have ended."""
    overlaps: Sequence[str] = ()
    """Pods that the kubelet saw at work on the same at the same time."""
    label_lines: Sequence[Mapping[str, Any]] = ()
    """A line for each calculation of a label."""
    entered_labels: frozenset[str] = frozenset()
    """Keys of the labels in any ledger."""
    expected: Mapping[str, Expected] = field(default_factory=dict)
    """By profile."""
    references: Mapping[str, Ending] = field(default_factory=dict)
    """By profile: how its job ended without faults."""
    ended: Sequence[Ended] = ()
    committed: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By prefix: digests of the stages whose result is in the store."""
    stuck: Sequence[str] = ()
    leftovers: Sequence[str] = ()
    exits: Sequence[Exit] = ()
    faults: Mapping[Fault, int] = field(default_factory=dict)
    """How often each was done."""


def judge(evidence: Evidence) -> dict[str, list[str]]:
    """Return by count what is wrong, an entry for each object."""
    return {
        "duplicate_jobs": _duplicate_jobs(evidence),
        "duplicate_labels": _duplicate_labels(evidence.label_lines),
        "lost_results": _lost_results(evidence),
        "stuck": sorted(evidence.stuck),
        "different_terminal_state": [
            f"{each.name}: {_difference(each.expected, each.found)}"
            for each in evidence.ended
            if each.expected != each.found
        ],
        "leftovers": sorted(evidence.leftovers),
        "refused_requests": _refused(evidence),
        "operator_ended_by_itself": [
            f"exit code {each.code}: {each.log.strip().rpartition(chr(10))[2] or 'it said nothing'}"
            for each in evidence.exits
            if not LEASE_LOST.search(each.log)
        ],
        "wrong_reference": _wrong_references(evidence),
        "instruments_silent": _silent(evidence),
        "faults_that_never_came": _never_came(evidence.faults),
    }


def jobs_created(audit: Iterable[Mapping[str, Any]], user: str) -> list[str]:
    """Return the names of the Jobs that a user created, in order."""
    return [_name(event) for event in audit if _by(event, user) and _did(event, "create", "jobs", {201})]


def _duplicate_jobs(evidence: Evidence) -> list[str]:
    """Find Jobs of a stage that had one to which nothing was done."""
    created = jobs_created(evidence.audit, evidence.operator_user)
    deleted = Counter(
        _name(event)
        for event in evidence.audit
        if not _by(event, evidence.operator_user) and _did(event, "delete", "jobs", {200, 202})
    )
    found = list(evidence.overlaps)
    found += [
        f"{name} was created {count} times and deleted by hand {deleted[name]} times"
        for name, count in Counter(created).items()
        if count > 1 + deleted[name]
    ]
    stages: defaultdict[str, list[str]] = defaultdict(list)
    for name in dict.fromkeys(created):
        stages[_ATTEMPT.sub("", name)].append(name)
    for names in stages.values():
        found += [
            f"{after} was created though nothing had been done to {before}"
            for before, after in pairwise(names)
            if not evidence.ended_attempts.get(before)
        ]
    return found


def _duplicate_labels(lines: Iterable[Mapping[str, Any]]) -> list[str]:
    payers: defaultdict[str, list[str]] = defaultdict(list)
    for line in lines:
        payers[line["key"]].append(line["job"])
    return [f"label {key[:12]} was computed for {', '.join(jobs)}" for key, jobs in payers.items() if len(jobs) > 1]


def _lost_results(evidence: Evidence) -> list[str]:
    found = [
        f"label {line['key'][:12]} of {line['job']} is in no ledger"
        for line in evidence.label_lines
        if line["key"] not in evidence.entered_labels
    ]
    recorded: defaultdict[str, set[str]] = defaultdict(set)
    for each in evidence.ended:
        recorded[each.prefix] |= each.digests
    for prefix, digests in evidence.committed.items():
        if prefix in recorded:
            found += [f"stage {digest[:12]} of {prefix} is in no status" for digest in digests - recorded[prefix]]
    return found


def _refused(evidence: Evidence) -> list[str]:
    counts = Counter(
        f"{_code(event)} {event['verb']} {event['requestURI'].partition('?')[0]}"
        for event in evidence.audit
        if _by(event, evidence.operator_user) and 400 <= _code(event) < 500 and _code(event) not in BUSINESS_AS_USUAL
    )
    return [f"{what}, {count} times" for what, count in sorted(counts.items())]


def _wrong_references(evidence: Evidence) -> list[str]:
    """Find jobs that came to another end without faults than they were made for: faults cannot be told from that."""
    words = {name: each.wrong(evidence.references.get(name)) for name, each in evidence.expected.items()}
    words |= dict.fromkeys(evidence.references.keys() - words.keys(), "nobody says how it must end")
    return [f"{name}: {what}" for name, what in sorted(words.items()) if what]


def _silent(evidence: Evidence) -> list[str]:
    """Find instruments that saw nothing at all: the counts that come from them say nothing."""
    user = evidence.operator_user
    heard = {
        f"the audit log has no request by {user}": any(_by(event, user) for event in evidence.audit),
        f"the audit log has no Job that {user} created": bool(jobs_created(evidence.audit, user)),
        "no calculation of a label was written down": bool(evidence.label_lines),
        "no label is in any ledger": bool(evidence.entered_labels),
        "no result of a stage is in the store": any(evidence.committed.values()),
        "no stage is in the status of any job": any(each.digests for each in evidence.ended),
    }
    return [words for words, sound in heard.items() if not sound]


def _never_came(faults: Mapping[Fault, int]) -> list[str]:
    if sum(faults.get(fault, 0) for fault in KILLS) < EVERY_FAULT_FROM_KILLS:
        return []
    return [str(fault) for fault in Fault if fault not in _NOT_DONE and not faults.get(fault)]


def _difference(expected: Ending, found: Ending) -> str:
    parts = (
        f"{name} is {getattr(found, name)!r}, without faults {getattr(expected, name)!r}"
        for name in vars(expected)
        if getattr(found, name) != getattr(expected, name)
    )
    return "; ".join(parts)


def _by(event: Mapping[str, Any], user: str) -> bool:
    return bool(event["user"]["username"] == user)


def _did(event: Mapping[str, Any], verb: str, resource: str, codes: set[int]) -> bool:
    target = event.get("objectRef", {})
    return (
        event["verb"] == verb
        and target.get("resource") == resource
        and "subresource" not in target
        and _code(event) in codes
    )


def _name(event: Mapping[str, Any]) -> str:
    return str(event["objectRef"].get("name", ""))


def _code(event: Mapping[str, Any]) -> int:
    return int(event.get("responseStatus", {}).get("code", 0))

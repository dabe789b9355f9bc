"""The judge finds what is wrong and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.chaos.faults import Fault
from tests.chaos.judge import Ended, Ending, Evidence, Exit, Expected, judge

OPERATOR = "system:serviceaccount:pfd-system:pfd"
GOOD = Ending("Converged", "Converged", 2, 12, ("0/prepare", "0/train"), (True,), 2)


def event(verb: str, name: str, code: int = 201, user: str = OPERATOR, resource: str = "jobs") -> dict[str, Any]:
    return {
        "verb": verb,
        "user": {"username": user},
        "objectRef": {"resource": resource, "name": name},
        "requestURI": f"/apis/{resource}/{name}?x=y",
        "responseStatus": {"code": code},
    }


HEARD = Evidence(
    OPERATOR,
    audit=[event("create", "heard-5f0c-i000-prepare-a1")],
    label_lines=[{"key": "k0", "job": "heard"}],
    entered_labels=frozenset({"k0"}),
    ended=[Ended("heard", GOOD, GOOD, "heard", frozenset({"d0"}))],
    committed={"heard": frozenset({"d0"})},
)
"""A job of which every instrument saw something, and nothing was wrong with it."""


def wrong(evidence: Evidence) -> dict[str, list[str]]:
    return {name: objects for name, objects in judge(evidence).items() if objects}


def found(**changes: Any) -> dict[str, list[str]]:
    """Return what is wrong with all of this, beside that job."""
    heard = {name: getattr(HEARD, name) for name in changes.keys() & {"audit", "label_lines", "ended"}}
    changes |= {name: [*seen, *changes[name]] for name, seen in heard.items()}
    changes |= {name: getattr(HEARD, name) | changes[name] for name in changes.keys() & {"entered_labels", "committed"}}
    return wrong(replace(HEARD, **changes))


def test_nothing_is_wrong_with_a_good_job() -> None:
    assert found() == {}


def test_a_second_attempt_needs_a_reason() -> None:
    audit = [event("create", "si-5f0c-i000-train-a1"), event("create", "si-5f0c-i000-train-a2")]
    assert "train-a2 was created" in found(audit=audit)["duplicate_jobs"][0]
    assert found(audit=audit, ended_attempts={"si-5f0c-i000-train-a1": ["node-drained"]}) == {}


def test_stages_and_jobs_are_told_apart() -> None:
    names = ("a-5f0c-i000-train-a1", "a-5f0c-i001-train-a1", "a-5f0c-i001-label-a1", "b-5f0c-i000-train-a1")
    assert found(audit=[event("create", name) for name in names]) == {}


def test_the_same_name_twice_needs_a_deletion_by_another_hand() -> None:
    twice = [event("create", "si-5f0c-i000-train-a1")] * 2
    by_itself = event("delete", "si-5f0c-i000-train-a1", 200)
    assert "created 2 times" in found(audit=[*twice, by_itself])["duplicate_jobs"][0]
    assert found(audit=[*twice, event("delete", "si-5f0c-i000-train-a1", 200, "admin")]) == {}


def test_what_the_server_refused_was_not_created() -> None:
    audit = [event("create", "si-5f0c-i000-train-a1"), event("create", "si-5f0c-i000-train-a1", 409)]
    assert found(audit=audit) == {}


def test_a_label_is_computed_once() -> None:
    lines = [{"key": "ab" * 32, "job": "one"}, {"key": "ab" * 32, "job": "two"}]
    wrong = found(label_lines=lines, entered_labels=frozenset({"ab" * 32}))
    assert wrong == {"duplicate_labels": ["label abababababab was computed for one, two"]}


def test_a_label_in_no_ledger_and_a_stage_in_no_status_are_lost() -> None:
    ended = [Ended("si", GOOD, GOOD, "si", frozenset({"d1"}))]
    wrong = found(
        label_lines=[{"key": "k1", "job": "si"}],
        ended=ended,
        committed={"si": frozenset({"d1", "d2"}), "other": {"d3"}},
    )
    assert wrong == {"lost_results": ["label k1 of si is in no ledger", "stage d2 of si is in no status"]}


def test_another_end_is_described() -> None:
    other = replace(GOOD, phase="Failed", labels=9)
    (words,) = found(ended=[Ended("si", GOOD, other, "si")])["different_terminal_state"]
    assert words == "si: phase is 'Failed', without faults 'Converged'; labels is 9, without faults 12"


def test_refusals_that_are_no_business_as_usual() -> None:
    audit = [event("get", "x", 404), event("patch", "x", 403, resource="pods"), event("patch", "x", 403, "somebody")]
    assert found(audit=audit) == {"refused_requests": ["403 patch /apis/pods/x, 1 times"]}


def test_only_without_its_lease_may_the_operator_end_by_itself() -> None:
    lost = Exit(1, '{"message": "the lease pfd is lost"}\n{"message": "stopped"}\n')
    crashed = Exit(1, 'Traceback (most recent call last):\n  …\nKeyError: "spec"\n')
    assert found(exits=[lost]) == {}
    wrong = found(exits=[lost, crashed, Exit(0, "")])
    assert wrong == {"operator_ended_by_itself": ['exit code 1: KeyError: "spec"', "exit code 0: it said nothing"]}


def test_a_run_of_which_nothing_was_seen_is_no_good_run() -> None:
    assert wrong(Evidence(OPERATOR)).keys() == {"instruments_silent"}


@pytest.mark.parametrize(
    ("unseen", "words"),
    [
        ({"operator_user": "somebody"}, ["has no request by somebody", "has no Job that somebody created"]),
        ({"audit": [event("get", "x", 200)]}, [f"has no Job that {OPERATOR} created"]),
        ({"label_lines": ()}, ["no calculation of a label"]),
        (
            {"label_lines": (), "entered_labels": frozenset()},
            ["no calculation of a label", "no label is in any ledger"],
        ),
        ({"committed": {"heard": frozenset()}}, ["no result of a stage is in the store"]),
        ({"committed": {}}, ["no result of a stage is in the store"]),
        ({"ended": (), "committed": {"si": frozenset({"d1"})}}, ["no stage is in the status of any job"]),
    ],
)
def test_an_instrument_that_saw_nothing_is_named(unseen: dict[str, Any], words: list[str]) -> None:
    silent = wrong(replace(HEARD, **unseen))
    assert silent.keys() == {"instruments_silent"}
    assert len(silent["instruments_silent"]) == len(words)
    assert all(part in said for part, said in zip(words, silent["instruments_silent"], strict=True))


CONVERGED = Expected("Converged", "Converged", (True,))


def test_jobs_that_come_to_another_end_than_they_were_made_for_are_named() -> None:
    failed = replace(GOOD, phase="Failed", reason="DataInvalid")
    expected = {"converged": CONVERGED, "twins-a": CONVERGED, "student": CONVERGED, "refused": Expected("Failed", "X")}
    references = {"converged": GOOD, "twins-a": failed, "student": replace(GOOD, met=(False,)), "new": GOOD}
    assert found(expected=expected, references=references) == {
        "wrong_reference": [
            "new: nobody says how it must end",
            "refused: no job of it has ended",
            "student: met is (False,), expected (True,)",
            "twins-a: phase is 'Failed', expected 'Converged'; reason is 'DataInvalid', expected 'Converged'",
        ]
    }


def test_jobs_that_all_fail_alike_are_not_good_jobs() -> None:
    failed = replace(GOOD, phase="Failed", reason="DataInvalid", met=(), stages=())
    ended = [Ended(f"converged-{number}", failed, failed, "converged") for number in range(3)]
    assert found(expected={"converged": CONVERGED}, references={"converged": failed}, ended=ended).keys() == {
        "wrong_reference"
    }


@pytest.mark.parametrize(("kills", "missed"), [(199, []), (200, ["s3-answer-truncated", "node-drained"])])
def test_a_long_run_has_every_fault(kills: int, missed: list[str]) -> None:
    faults = dict.fromkeys(Fault, 1) | {Fault.KILLED: kills - 2, Fault.POD_LINGERED: 0, Fault.NODE_DRAINED: 0}
    del faults[Fault.STORE_TRUNCATED]
    assert found(faults=faults).get("faults_that_never_came", []) == missed


def test_an_ending_is_read_from_a_status() -> None:
    status = {
        "phase": "Converged",
        "iteration": 2,
        "conditions": [{"type": "Ready", "status": "True", "reason": "Converged"}],
        "labels": {"paid": 9, "reused": 3},
        "stages": [{"iteration": 0, "stage": "prepare"}, {"iteration": 0, "stage": "train"}],
        "iterations": [{"iteration": 0, "met": True}],
        "model": {"iteration": 2},
    }
    assert Ending.of(status) == GOOD

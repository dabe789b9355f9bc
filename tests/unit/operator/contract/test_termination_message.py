"""A result as a pod's termination message: what the planner needs is whole, words give way."""

from __future__ import annotations

import pytest

from pfd_operator.contract.result import (
    TERMINATION_MESSAGE_MAX_BYTES,
    AcceptanceCheck,
    Caution,
    CautionReason,
    LabelCounts,
    Reason,
    StageResult,
)

MAX_BYTES = TERMINATION_MESSAGE_MAX_BYTES


def test_a_long_message_loses_its_middle() -> None:
    words = "what is wrong: " + "å" * 5000 + " and what to do"
    text = StageResult(ok=False, reason=Reason.DATA_INVALID, message=words).to_termination_message()
    assert MAX_BYTES - 200 < len(text.encode()) <= MAX_BYTES
    back = StageResult.from_termination_message(text)
    assert back is not None
    assert back.message.startswith("what is wrong: å")
    assert "[…]" in back.message
    assert back.message.endswith("å and what to do")


def test_what_fits_is_left_as_it_is() -> None:
    result = StageResult(ok=False, reason=Reason.DATA_INVALID, message="m" * 3000)
    assert StageResult.from_termination_message(result.to_termination_message()) == result


@pytest.mark.parametrize("message", ["", "m" * 2000, '"\n' * 2000], ids=["none", "plain", "escaped"])
def test_words_about_checks_give_way_before_their_verdicts(message: str) -> None:
    checks = [AcceptanceCheck(name=f"check{n}", met=n % 2 == 0, message="Å" * 200) for n in range(12)]
    caution = Caution(reason=CautionReason.SHORT_CELLS, message="c" * 320)
    result = StageResult(ok=True, message=message, checks=checks, caution=caution, figures={"speedup_108": 6.5})
    text = result.to_termination_message()
    assert len(text.encode()) <= MAX_BYTES
    back = StageResult.from_termination_message(text)
    assert back is not None
    assert [(check.name, check.met) for check in back.checks] == [(check.name, check.met) for check in checks]
    assert back.figures == result.figures
    assert back.caution is not None
    assert all(check.message for check in back.checks)


def test_it_ends_also_where_nothing_can_give_way() -> None:
    counts = {f"count{n}": n for n in range(1000)}
    text = StageResult(ok=True, counts=counts, message="m" * 5000).to_termination_message()
    assert len(text.encode()) > MAX_BYTES
    assert "mm" not in text


def test_a_caution_too_long_for_its_place_loses_its_middle() -> None:
    caution = Caution(reason=CautionReason.SHORT_CELLS, message=f"begin {'x' * 500} end")
    assert len(caution.message) <= 320
    assert caution.message.startswith("begin") and caution.message.endswith("end")


def test_what_a_later_version_says_besides_is_passed_over() -> None:
    text = '{"ok": true, "later": 1, "labels": {"paid": 3, "later": {}}}'
    assert StageResult.from_termination_message(text) == StageResult(ok=True, labels=LabelCounts(paid=3))

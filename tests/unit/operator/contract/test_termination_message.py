"""A result as a pod's termination message: what the planner needs is whole, words give way."""

from __future__ import annotations

import pytest

from pfd_operator.contract.outcome import (
    AcceptanceCheck,
    AcceptOutcome,
    ErrorMetrics,
    ExplorationCounts,
    ExploreOutcome,
    LabelOutcome,
    PrepareOutcome,
    SelectOutcome,
    SpeedUp,
    StageOutcome,
    StratumError,
    TrainingErrors,
    TrainingStrata,
    TrainOutcome,
    WorstStrata,
)
from pfd_operator.contract.result import (
    TERMINATION_MESSAGE_MAX_BYTES,
    Caution,
    CautionReason,
    LabelCounts,
    Reason,
    StageResult,
)
from pfd_operator.contract.selection import Apart

MAX_BYTES = TERMINATION_MESSAGE_MAX_BYTES
FIRST_AND_LATER = (
    ("pretrained", "shifted", "label_noise", "holdout", "best"),
    ("prequential", "farthest", "holdout", "best"),
)
"""Errors that a training measures."""


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


CHECKS = [AcceptanceCheck(name=f"check{n}", met=n % 2 == 0, message="Å" * 200) for n in range(12)]


@pytest.mark.parametrize("message", ["", "m" * 2000, '"\n' * 2000], ids=["none", "plain", "escaped"])
def test_words_about_checks_give_way_before_their_verdicts(message: str) -> None:
    caution = Caution(reason=CautionReason.SHORT_CELLS, message="c" * 320)
    judged = AcceptOutcome(checks=CHECKS, speed_ups=[SpeedUp(atoms_asked=108, atoms=96, factor=6.5)])
    text = StageResult(ok=True, message=message, outcome=judged, cautions=[caution]).to_termination_message()
    assert len(text.encode()) <= MAX_BYTES
    back = StageResult.from_termination_message(text)
    assert back is not None
    told = back.found(AcceptOutcome)
    assert told is not None
    assert [(check.name, check.met) for check in told.checks] == [(check.name, check.met) for check in CHECKS]
    assert told.speed_ups == judged.speed_ups
    assert [each.reason for each in back.cautions] == [caution.reason]
    assert all(check.message for check in told.checks)


@pytest.mark.parametrize("measured", FIRST_AND_LATER, ids=["iteration 0", "later ones"])
def test_the_longest_result_of_a_training_fits_with_all_its_figures(measured: tuple[str, ...]) -> None:
    stratum = "s" * 60
    errors = ErrorMetrics(
        frames=10**6,
        trajectories=10**6,
        label_force_rms=0.123456789,
        **dict.fromkeys(("force_rmse", "force_rmse_low", "force_rmse_high"), 0.123456789),
        **dict.fromkeys(("energy_rmse_per_atom", "energy_rmse_per_atom_high"), 0.0123456789),
        **dict.fromkeys(("virial_rmse_per_atom", "virial_rmse_per_atom_high"), 0.0123456789),
        worst_stratum=stratum,
        worst_stratum_force_rmse=0.123456789,
    )
    worst = WorstStrata(**dict.fromkeys(WorstStrata.model_fields, StratumError(stratum=stratum, rmse=0.0123456789)))
    trained = TrainOutcome(
        training_frames=10**6,
        holdout_strata=[f"{'s' * 40}/{kelvin}K" for kelvin in range(100)],
        resumed_from_step=10**6,
        exploration=ExplorationCounts(**dict.fromkeys(ExplorationCounts.model_fields, 10**6)),
        errors=TrainingErrors(**dict.fromkeys(measured, errors)),
        worst_strata=TrainingStrata(holdout=worst, prequential=worst if "prequential" in measured else None),
        best_iteration=1000,
    )
    result = StageResult(
        ok=True,
        digest="d" * 64,
        asked="a" * 64,
        labels=LabelCounts(**dict.fromkeys(LabelCounts.model_fields, 10**6)),
        outcome=trained,
        model_uri="s3://" + "p" * 500 + "/stages/" + "d" * 64 + "/attempts/" + "u" * 48 + "/best.pt",
        message="m" * 2000,
        cautions=[Caution(reason=CautionReason.SHORT_CELLS, message="c" * 320)],
        seconds=123456.789,
    )
    text = result.to_termination_message()
    assert len(text.encode()) <= MAX_BYTES
    back = StageResult.from_termination_message(text)
    assert back is not None
    told = back.found(TrainOutcome)
    assert told is not None
    assert told.holdout_strata == []
    assert told.errors.holdout is not None
    assert told.errors.holdout.force_rmse == pytest.approx(0.123456789, rel=1e-5)
    known = {"errors", "worst_strata", "holdout_strata"}
    assert told.model_dump(exclude=known) == trained.model_dump(exclude=known)
    for mine, theirs in ((told.errors, trained.errors), (told.worst_strata, trained.worst_strata)):
        assert {name for name, each in mine if each} == {name for name, each in theirs if each}


def test_words_give_way_before_the_names_of_strata_that_a_verdict_needs() -> None:
    trained = TrainOutcome(training_frames=4, holdout_strata=[f"system-{number:02}/300K" for number in range(64)])
    cautions = [Caution(reason=reason, message=f"begin {'c' * 308} end") for reason in list(CautionReason)[:6]]
    result = StageResult(ok=True, message="m" * 2000, outcome=trained, cautions=cautions)
    back = StageResult.from_termination_message(result.to_termination_message())
    assert back is not None and back.outcome == trained
    assert [each.reason for each in back.cautions] == [each.reason for each in cautions]
    assert all(each.message.startswith("begin ") and each.message.endswith(" end") for each in back.cautions)


@pytest.mark.parametrize(
    "outcome",
    [
        PrepareOutcome(),
        PrepareOutcome(training_structures={Apart.TRAJECTORIES: 40, Apart.STRUCTURES: 30}),
        PrepareOutcome(without_pressure=[f"{number:02}-{'s' * 37}" for number in range(64)]),
        ExploreOutcome(candidates=0, trajectories=0, exploded=0),
        SelectOutcome(tasks=0, labels=0),
        LabelOutcome(failed=0, reused=0),
        TrainOutcome(training_frames=0),
        AcceptOutcome(checks=CHECKS[:1]),
    ],
    ids=lambda outcome: str(outcome.stage.value),
)
def test_what_a_stage_found_comes_back_as_it_was(outcome: StageOutcome) -> None:
    result = StageResult(ok=True, outcome=outcome)
    assert StageResult.from_termination_message(result.to_termination_message()) == result
    assert StageResult.model_validate(result.to_json()) == result


def test_it_ends_also_where_nothing_can_give_way() -> None:
    text = StageResult(ok=True, model_uri="u" * 4000, message="m" * 5000).to_termination_message()
    assert len(text.encode()) > MAX_BYTES
    assert "mm" not in text


def test_a_result_of_an_earlier_version_has_no_outcome() -> None:
    text = '{"ok":true,"counts":{"tasks":3},"metrics":{"holdout":{"frames":4}},"checks":[],"bestIteration":1}'
    assert StageResult.from_termination_message(text) == StageResult(ok=True)


def test_a_caution_too_long_for_its_place_loses_its_middle() -> None:
    caution = Caution(reason=CautionReason.SHORT_CELLS, message=f"begin {'x' * 500} end")
    assert len(caution.message) <= 320
    assert caution.message.startswith("begin") and caution.message.endswith("end")


def test_what_a_later_version_says_besides_is_passed_over() -> None:
    text = '{"ok": true, "later": 1, "labels": {"paid": 3, "later": {}}}'
    assert StageResult.from_termination_message(text) == StageResult(ok=True, labels=LabelCounts(paid=3))


@pytest.mark.parametrize(
    ("besides", "outcome"),
    [
        ('"stage":"prepare","starts":4,"data":0', PrepareOutcome()),
        (
            '"stage":"train","trainingFrames":2,"holdoutFrames":4,"holdoutStrataCount":1',
            TrainOutcome(training_frames=2),
        ),
    ],
)
def test_what_an_earlier_version_says_besides_is_passed_over(besides: str, outcome: StageOutcome) -> None:
    assert StageResult.from_termination_message(f'{{"ok":true,"outcome":{{{besides}}}}}') == StageResult(
        ok=True, outcome=outcome
    )


@pytest.mark.parametrize(
    "said",
    [
        '"digest":"stages/ab12"',
        '"asked":"ab12"',
        '"labels":{"paid":-1}',
        '"labels":{"paid":10000000000000000000000000}',
        '"outcome":{"stage":"select","tasks":10000000000000000000000000,"labels":3}',
        '"outcome":{"stage":"train","trainingFrames":2,"holdoutStrataCount":1,"exploration":{"trajectories":-1}}',
    ],
)
def test_what_no_stage_can_be_planned_or_recorded_by_is_no_result(said: str) -> None:
    """An image of the user's may say anything: the job must not hang on it, deaf to spec.stop."""
    assert StageResult.from_termination_message(f'{{"ok":true,{said}}}') is None

"""The verdict on an iteration: which limits hold, what holds a run back, and what is not known."""

from __future__ import annotations

from typing import Any

import pytest

from pfd_operator.api.conditions import Phase
from pfd_operator.api.status import FineTuneJobStatus, IterationRecord
from pfd_operator.contract.limits import Convergence
from pfd_operator.contract.outcome import (
    ErrorMetrics,
    ExplorationCounts,
    StratumError,
    TrainingErrors,
    TrainingStrata,
    TrainOutcome,
    WorstStrata,
)
from pfd_operator.contract.result import StageResult
from pfd_operator.contract.stage import StageKind, StageSpec
from pfd_operator.plan.convergence import Criteria, upper_end
from pfd_operator.plan.kept_model import converged
from pfd_operator.plan.measured import measured_by, recorded
from pfd_operator.plan.outcome import take_training
from pfd_operator.plan.strata import strata_left_out
from tests.unit.operator.plan.plan_answers import good_result, talkative_result, with_errors, with_found
from tests.unit.operator.plan.plan_samples import Run, distill_resource, resource

STRATA = ["diamond/300K/1bar", "diamond/900K/1bar"]
ALL = {
    "forceRMSE": 0.1,
    "energyRMSEPerAtom": 0.01,
    "virialRMSEPerAtom": 0.02,
    "confidence": 0.95,
    "everyStratum": True,
    "novelFraction": 0.1,
    "explodedFraction": 0,
}


def metrics(force: float = 0.05, energy: float = 0.005, virial: float | None = 0.01, **changes: Any) -> ErrorMetrics:
    given = {
        "frames": 16,
        "force_rmse": force,
        "force_rmse_low": 0.8 * force,
        "force_rmse_high": 1.2 * force,
        "energy_rmse_per_atom": energy,
        "energy_rmse_per_atom_high": 1.3 * energy,
        "virial_rmse_per_atom": virial,
        "virial_rmse_per_atom_high": None if virial is None else 1.3 * virial,
    }
    return ErrorMetrics.model_validate(given | changes)


def worst(force: float = 0.06, energy: float = 0.006, virial: float = 0.012, stratum: str = "si/900K") -> WorstStrata:
    force_error, energy_error, virial_error = (StratumError(stratum=stratum, rmse=x) for x in (force, energy, virial))
    return WorstStrata(force=force_error, energy=energy_error, virial=virial_error)


def outcome(**changes: Any) -> TrainOutcome:
    """What a train stage finds of an iteration in which everything is well."""
    metrics_of = {name: metrics(**changes.get(name, {})) for name in ("prequential", "holdout")}
    explored = {"candidates": 120, "novel": 6, "trajectories": 8, "exploded": 0}
    return TrainOutcome(
        training_frames=40,
        exploration=ExplorationCounts(**changes.get("exploration", explored)),
        errors=TrainingErrors(**metrics_of, best=changes.get("best")),
        worst_strata=TrainingStrata(**changes.get("strata", {"prequential": WorstStrata(), "holdout": worst()})),
        best_iteration=changes.get("best_iteration"),
    )


def limits(**given: Any) -> Convergence:
    return Convergence.model_validate({"forceRMSE": 0.1} | given)


def taken(asked: Convergence, status: FineTuneJobStatus, iteration: int, found: TrainOutcome) -> FineTuneJobStatus:
    return take_training(Criteria(asked), status, iteration, found, "s3://pfd/silicon/best.pt")


def record_of(reported: TrainOutcome) -> IterationRecord:
    """What the status keeps of it, read back from the API server."""
    status = taken(limits(), FineTuneJobStatus(), 3, reported)
    return FineTuneJobStatus.model_validate(status.to_json()).iterations[0]


CASES = [
    ({}, {}, True, "within the limit of 0.1"),
    (ALL, {}, True, "within the limit of"),
    (
        {},
        {"holdout": {"force": 0.12}},
        False,
        "the force RMSE on the hold-out is 0.12 eV/Å, 20 % above the limit of 0.1",
    ),
    # the upper end of 95 % confidence: 0.09 · 1.2^(1.645/1.960)
    ({}, {"holdout": {"force": 0.09}}, True, "0.09 eV/Å"),
    # the status says 0.1, and so does the verdict
    ({}, {"holdout": {"force": 0.100003}}, True, "0.1 eV/Å"),
    (
        {"confidence": 0.95},
        {"holdout": {"force": 0.09}},
        False,
        "the upper end of the force RMSE on the hold-out at 95 % confidence is 0.1049 eV/Å, 5 % above the limit of 0.1",
    ),
    ({"confidence": 0.7}, {"holdout": {"force": 0.09}}, True, "at 70 % confidence is 0.0945 eV/Å"),
    (
        {"confidence": 0.95, "energyRMSEPerAtom": 0.006},
        {},
        False,
        "the upper end of the energy RMSE per atom on the new labels at 95 % confidence is 0.006231 eV, 4 % above",
    ),
    (
        {"confidence": 0.9},
        {"prequential": {"frames": 5, "trajectories": 2, "force_rmse_low": None, "force_rmse_high": None}},
        False,
        "force RMSE on the new labels at 90 % confidence is not known",
    ),
    (
        {"confidence": 0.9, "energyRMSEPerAtom": 0.01},
        {"holdout": {"energy_rmse_per_atom_high": None}},
        False,
        "at 90 % confidence is not known: fewer than 4 trajectories have one, or the worker did not report it",
    ),
    ({"virialRMSEPerAtom": 0.02}, {"holdout": {"virial": None}}, False, "not known, since no frame has a virial"),
    (
        {"everyStratum": True},
        {"strata": {"prequential": WorstStrata(), "holdout": worst(force=0.15)}},
        False,
        "the force RMSE on the hold-out in si/900K is 0.15 eV/Å, 50 % above the limit of 0.1",
    ),
    ({}, {"strata": {"holdout": worst(force=0.15)}}, True, "0.05 eV/Å"),
    (
        {"everyStratum": True, "virialRMSEPerAtom": 0.02},
        {"strata": {"prequential": worst(virial=0.03, stratum="si/300K"), "holdout": worst()}},
        False,
        "the virial RMSE per atom on the new labels in si/300K is 0.03 eV, 50 % above the limit of 0.02",
    ),
    (
        {"everyStratum": True},
        {"strata": {}},
        False,
        "the force RMSE on the hold-out is not known of any stratum",
    ),
    (
        {"everyStratum": True, "virialRMSEPerAtom": 0.02},
        {"strata": {"prequential": worst(), "holdout": worst().model_copy(update={"virial": None})}},
        False,
        "the virial RMSE per atom on the hold-out is not known of any stratum: no frame has one",
    ),
    # ten new frames of four strata are never four of one
    (
        {"everyStratum": True, "energyRMSEPerAtom": 0.02},
        {},
        True,
        "within the limit of 0.1; no stratum has frames enough on the new labels to judge its force RMSE and energy "
        "RMSE per atom, so of strata the hold-out alone decides",
    ),
    (
        {"novelFraction": 0.1},
        {"exploration": {"candidates": 120, "novel": 18}},
        False,
        "the fraction of candidate frames of the MD that is new to the training set (18/120) is 0.15, 50 % above the "
        "limit of 0.1",
    ),
    ({"novelFraction": 0.15}, {"exploration": {"candidates": 120, "novel": 18}}, True, "within"),
    (
        {"novelFraction": 0.1},
        {"exploration": {"candidates": 120}},
        False,
        "nine are needed, each with another one of its composition",
    ),
    (
        {"explodedFraction": 0},
        {"exploration": {"trajectories": 8, "exploded": 2}},
        False,
        "the fraction of trajectories of the MD that exploded (2/8) is 0.25, above the limit of 0",
    ),
    (
        {"explodedFraction": 0.25},
        {"exploration": {"trajectories": 8, "exploded": 2}},
        True,
        "(2/8) is 0.25, within the limit",
    ),
    ({"explodedFraction": 0}, {"exploration": {}}, False, "not every explore pod told it"),
]


@pytest.mark.parametrize(("asked", "found", "met", "words"), CASES)
def test_a_verdict_and_the_same_one_by_what_the_status_keeps(
    asked: dict[str, Any], found: dict[str, Any], met: bool, words: str
) -> None:
    reported = outcome(**found)
    criteria = Criteria(limits(**asked))
    verdict = criteria.judge(measured_by(reported))
    assert (verdict.met, words in verdict.message) == (met, True), verdict.message
    record = record_of(reported)
    assert criteria.held_at_last([record]) == met, criteria.judge(recorded(record)).message


@pytest.mark.parametrize(("rms", "rough"), [(None, False), (0.5, False), (0.2, True)])
def test_a_force_error_is_told_beside_the_forces_and_remarked_where_it_is_large(rms: float | None, rough: bool) -> None:
    reported = outcome(holdout={"force": 0.06, "label_force_rms": rms})
    words = Criteria(limits()).judge(measured_by(reported)).message
    assert ("0.06 eV/Å (12 % of the RMS force), within" in words) == (rms == 0.5)
    message = taken(limits(), FineTuneJobStatus(), 1, reported).iterations[0].message
    assert ("But the force RMSE on the hold-out is 30 % of the RMS force, more than 20 %" in message) == rough


def test_without_an_interval_it_is_said_what_is_missing() -> None:
    few = {"frames": 5, "trajectories": 2, "force_rmse_low": None, "force_rmse_high": None}
    reported = outcome(prequential=few)
    message = Criteria(limits(confidence=0.9)).judge(measured_by(reported)).message
    assert "5 frames of 2 trajectories, fewer than 4, give no interval. Ask for more replicas" in message
    record = record_of(reported)
    assert record.prequential is not None and record.prequential.force_rmse_interval == ""
    assert recorded(record).errors["prequential"].force_rmse_high is None


def test_what_is_farthest_from_its_limit_is_told_first_and_not_everything() -> None:
    explored = {"candidates": 10, "novel": 5, "trajectories": 8, "exploded": 1}
    found = outcome(holdout={"force": 0.3, "energy": 0.02}, exploration=explored)
    verdict = Criteria(limits(**ALL | {"confidence": None, "everyStratum": False})).judge(measured_by(found))
    first, second, more = verdict.message.split("; ")
    assert "exploded (1/8)" in first
    assert "(5/10) is 0.5, 400 % above" in second
    assert more == "2 more limits do not hold"


@pytest.mark.parametrize("asked", [{key: value} for key, value in ALL.items() if key not in ("forceRMSE",)])
def test_a_worker_that_reports_less_leaves_limits_unknown_and_breaks_nothing(asked: dict[str, Any]) -> None:
    bare = metrics(energy_rmse_per_atom_high=None, virial_rmse_per_atom_high=None)
    errors = TrainingErrors(prequential=bare, holdout=bare)
    old = TrainOutcome(training_frames=40, errors=errors)
    verdict = Criteria(limits(**asked)).judge(measured_by(old))
    known = {"energyRMSEPerAtom", "virialRMSEPerAtom", "confidence"}
    assert verdict.met == bool(known & set(asked)), verdict.message
    assert verdict.met or "not known" in verdict.message


SI = ["si/300K", "si/600K", "si/900K", "si/1200K", "si/1500K"]


@pytest.mark.parametrize(
    ("asked", "held_out", "words"),
    [
        (SI[:2], SI[:3], ""),
        (SI[:3], SI[:2], "the hold-out has no frame in si/900K, so the error there is not known"),
        (SI[:3], [*SI[:2], "si/1200K"], "the hold-out has no frame in si/900K, so the error there is not known"),
        (SI, SI[:1], "no frame in si/600K, si/900K, si/1200K and 1 more, so the error there is not known"),
        (SI[:2], [], "is not known: they are too many for the message"),
    ],
    ids=["all", "one missing", "another instead", "many missing", "names too long"],
)
def test_a_stratum_without_a_holdout_frame_is_named(asked: list[str], held_out: list[str], words: str) -> None:
    left_out = strata_left_out(asked, held_out)
    assert words in left_out and bool(words) == bool(left_out)
    verdict = Criteria(limits(everyStratum=True), left_out=left_out).judge(measured_by(outcome()))
    assert (verdict.met, words in verdict.message) == (not words, True)
    assert Criteria(limits(), left_out=left_out).judge(measured_by(outcome())).met
    assert Criteria(limits(everyStratum=True), left_out=left_out).held_at_last([record_of(outcome())]) == (not words)


@pytest.mark.parametrize(
    ("held_out", "phase"), [(STRATA[:1], Phase.MAX_ITERATIONS), (STRATA, Phase.CONVERGED)], ids=["one", "all"]
)
def test_a_job_converges_by_stratum_only_if_each_has_a_holdout_frame(held_out: list[str], phase: Phase) -> None:
    def answer(spec: StageSpec, reused: bool = False) -> StageResult:
        found = talkative_result(spec, reused)
        if spec.stage is not StageKind.TRAIN:
            return found
        return with_found(found, holdout_strata=held_out)

    run = Run(resource(convergence={"forceRMSE": 0.08, "everyStratum": True}))
    run.answer = answer
    assert run.to_the_end().phase is phase
    assert run.status.iterations[-1].met == (phase is Phase.CONVERGED)
    assert isinstance(run.status, FineTuneJobStatus)
    assert run.status.holdout_strata == held_out


@pytest.mark.parametrize(
    ("best", "asked", "enough"),
    [
        ({"force": 0.04, "energy": 0.02}, {"energyRMSEPerAtom": 0.01}, False),
        ({"force": 0.04, "energy": 0.02}, {}, True),
        ({"force": 0.04, "energy": 0.009}, {"energyRMSEPerAtom": 0.01}, True),
        ({"force": 0.04, "virial": None}, {"virialRMSEPerAtom": 0.01}, True),
        (None, {"energyRMSEPerAtom": 0.01}, True),
    ],
)
def test_the_limits_hold_for_the_model_that_is_kept_too(
    best: dict[str, Any] | None, asked: dict[str, Any], enough: bool
) -> None:
    asked_for = limits(consecutive=1, **asked)
    found = outcome(best=None if best is None else metrics(**best), best_iteration=1)
    status = taken(asked_for, FineTuneJobStatus(), 3, found)
    assert (status.consecutive, converged(asked_for, status)) == (1, enough)
    words = "But the energy RMSE per atom of the model that is kept, iteration 1's, on the hold-out is 0.02 eV, 100 %"
    assert (words in status.iterations[-1].message) == (not enough)


@pytest.mark.parametrize(
    ("asked", "first", "words"),
    [
        ({"confidence": 0.95, "energyRMSEPerAtom": 0.001}, {"force": 0.04, "energy": 0.00095}, "the upper end of"),
        ({"everyStratum": True}, {"strata": {"prequential": WorstStrata(), "holdout": worst(force=0.12)}}, "si/900K"),
    ],
)
def test_the_kept_model_is_judged_as_its_iteration_was(
    asked: dict[str, Any], first: dict[str, Any], words: str
) -> None:
    asked_for = limits(**asked)
    figures = {name: value for name, value in first.items() if name != "strata"}
    strata = {"strata": first["strata"]} if "strata" in first else {}
    status = FineTuneJobStatus()
    for iteration in (1, 2, 3):
        later = {name: {"energy": 0.0007} for name in ("prequential", "holdout")}
        measured: dict[str, Any] = {"holdout": figures, **strata} if iteration == 1 else later
        found = outcome(**measured, best=metrics(**figures), best_iteration=1)
        status = taken(asked_for, status, iteration, found)
    assert status.consecutive == 2 and not converged(asked_for, status)
    assert words in status.iterations[0].message
    assert "But " in status.iterations[-1].message and "iteration 1's, on the hold-out" in status.iterations[-1].message


def test_the_shifted_model_is_not_judged_by_the_training_it_beat() -> None:
    asked_for, status = limits(consecutive=1, energyRMSEPerAtom=0.01), FineTuneJobStatus()
    for iteration in (0, 1):
        holdout = {"force": 0.5, "energy": 0.5} if iteration == 0 else {"force": 0.09}
        found = outcome(holdout=holdout, best=metrics(force=0.05, energy=0.005))
        status = taken(asked_for, status, iteration, found)
    assert status.model is not None and not status.model.fine_tuned
    assert converged(asked_for, status), status.iterations[-1].message


@pytest.mark.parametrize("distills", [False, True])
def test_a_job_goes_on_while_its_kept_model_misses_a_limit(distills: bool) -> None:
    def answer(spec: StageSpec, reused: bool = False) -> StageResult:
        found = (good_result if distills else talkative_result)(spec, reused)
        if spec.stage is not StageKind.TRAIN:
            return found
        good = metrics(energy=0.002)
        kept = good if spec.iteration == 4 else metrics(force=0.04, energy=0.02)
        found = with_found(found, best_iteration=4 if spec.iteration == 4 else 1)
        return with_errors(found, prequential=good, holdout=kept if spec.iteration == 1 else good, best=kept)

    asked = {"forceRMSE": 0.08, "energyRMSEPerAtom": 0.01, "consecutive": 1}
    budget = {"maxIterations": 9, "maxLabels": 10000}
    run = Run(
        distill_resource(acceptance=asked, budget=budget) if distills else resource(convergence=asked, budget=budget)
    )
    run.answer = answer
    status = run.to_the_end()
    assert (status.phase, status.iteration) == (Phase.CONVERGED, 4)


def test_records_of_an_older_operator_are_judged_by_what_they_have() -> None:
    errors = {"forceRMSE": "0.05", "energyRMSEPerAtom": "0.001", "frames": 16}
    record = IterationRecord.model_validate({"iteration": 1, "labels": 10, "prequential": errors, "holdout": errors})
    assert Criteria(limits()).held_at_last([record]) == 1
    assert Criteria(limits(everyStratum=True)).held_at_last([record]) == 0
    assert Criteria(limits(novelFraction=0.1)).held_at_last([record]) == 0


@pytest.mark.parametrize(
    ("confidence", "trajectories", "end"),
    [
        (0.5, 4, 0.1),
        (0.975, 4, 0.12),
        # of few trajectories Student's t: 1.638/3.182 and 10.21/3.182 of the logarithm of 1.2
        (0.9, 4, 0.1098),
        (0.999, 4, 0.1795),
        (0.9, None, 0.1127),
        (0.999, None, 0.1333),
    ],
)
def test_upper_ends_of_other_levels_follow_from_the_reported_one(
    confidence: float, trajectories: int | None, end: float
) -> None:
    assert upper_end(0.1, 0.12, confidence, trajectories) == pytest.approx(end, rel=1e-3)


def test_how_many_trajectories_an_end_is_of_is_kept_in_the_status() -> None:
    reported = outcome(holdout={"trajectories": 4})
    assert recorded(record_of(reported)).errors["holdout"].trajectories == 4


def test_an_interval_without_width_or_without_error_has_its_value_as_upper_end() -> None:
    assert upper_end(0.1, 0.1, 0.95, 8) == 0.1
    assert upper_end(0.0, 0.0, 0.95, 8) == 0.0

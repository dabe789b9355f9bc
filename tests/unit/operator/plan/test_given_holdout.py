"""A hold-out that the user gives: iteration 0 goes without what would make one, and it counts as no label."""

from __future__ import annotations

from typing import Any

import pytest

from pfd_operator.api.conditions import ConditionType, Phase
from pfd_operator.contract.outcome import TrainOutcome
from pfd_operator.contract.result import ExitCode, LabelCounts, Reason, StageResult
from pfd_operator.contract.stage import Input, PrepareParams, SelectParams, StageKind, StageSpec
from pfd_operator.plan.spec_digest import spec_digest
from tests.unit.operator.plan.plan_answers import good_result, talkative_result, with_errors, with_found
from tests.unit.operator.plan.plan_samples import Run, condition, created, failed_pod, job_of, resource
from tests.unit.operator.plan.redone_samples import budget, restart

GIVEN: dict[str, Any] = {"holdout": {"data": [{"uri": "s3://pfd/test.extxyz"}]}}
WITHOUT_AIMD: dict[str, Any] = {**GIVEN, "aimd": {"trajectories": 0}, "data": [{"uri": "s3://pfd/train.extxyz"}]}
NO_VIRIAL = {"virial_rmse_per_atom": None}
ROUND = [StageKind.EXPLORE, StageKind.SELECT, StageKind.LABEL, StageKind.TRAIN]


def stages(run: Run, iteration: int) -> list[StageKind]:
    return [record.stage for record in run.status.stages if record.iteration == iteration]


def answer(spec: StageSpec, reused: bool = False) -> StageResult:
    """What a worker says that labels nothing in the first iteration of a job without AIMD."""
    result = good_result(spec, reused)
    return result.model_copy(update={"labels": LabelCounts(paid=3 * spec.iteration)}) if result.labels else result


def test_the_first_iteration_labels_starts_of_aimd_and_explores_nothing() -> None:
    run = Run(resource(**GIVEN))
    prepare = run.until(0, StageKind.PREPARE).spec
    assert isinstance(prepare.params, PrepareParams)
    assert [data.uri for data in prepare.params.holdout or []] == ["s3://pfd/test.extxyz"]
    select = run.until(0, StageKind.SELECT).spec
    assert isinstance(select.params, SelectParams)
    assert (select.params.frames, select.params.aimd is not None, set(select.inputs)) == (0, True, {Input.PREPARE})
    assert set(run.until(0, StageKind.TRAIN).spec.inputs) == {Input.PREPARE, Input.SELECT, Input.LABEL}
    assert run.to_the_end().phase is Phase.CONVERGED
    assert [stages(run, number) for number in (0, 1)] == [[StageKind.PREPARE, *ROUND[1:]], ROUND]


def test_without_aimd_the_first_iteration_only_trains() -> None:
    run = Run(resource(**WITHOUT_AIMD))
    run.answer = answer
    assert set(run.until(0, StageKind.TRAIN).spec.inputs) == {Input.PREPARE}
    assert run.to_the_end().phase is Phase.CONVERGED
    assert [stages(run, number) for number in (0, 1)] == [[StageKind.PREPARE, StageKind.TRAIN], ROUND]


def test_jobs_whose_hold_out_is_computed_are_told_the_same_as_ever() -> None:
    assert "holdout" not in Run().until(0, StageKind.PREPARE).spec.params.to_json()
    assert spec_digest(resource().spec) == spec_digest(resource(holdout={"frames": 4, "data": []}).spec)


def test_its_frames_count_as_no_labels() -> None:
    run = Run(resource(**GIVEN, budget={"maxLabels": 2}))
    assert created(run.step()).spec.stage is StageKind.PREPARE
    run = Run(resource(**GIVEN, budget={"maxLabels": 1}))
    run.step()
    message = condition(run.status, ConditionType.READY).message
    assert "needs 2: 1 AIMD trajectories (spec.aimd) of 2 steps. Raise the budget" in message


def test_without_aimd_too_few_labels_are_those_of_the_hold_out() -> None:
    run = Run(resource(aimd={"trajectories": 0}, data=WITHOUT_AIMD["data"], budget={"maxLabels": 3}))
    run.step()
    message = condition(run.status, ConditionType.READY).message
    assert "needs 4: 4 hold-out frames (spec.holdout.frames). Raise the budget" in message


@pytest.mark.parametrize("given", [GIVEN, WITHOUT_AIMD], ids=["aimd", "data only"])
@pytest.mark.parametrize("first", [0, 1])
def test_a_restart_finds_what_it_had_whatever_is_left(given: dict[str, Any], first: int) -> None:
    run = Run(resource(**given))
    run.answer = answer if given is WITHOUT_AIMD else good_result
    assert run.to_the_end().phase is Phase.CONVERGED
    before = run.status
    run.edit(**budget(before.labels.paid), **restart(first))
    run.answer = lambda spec, reused=False: (answer if given is WITHOUT_AIMD else good_result)(spec, True)
    run.step(seconds=1)
    after = run.to_the_end()
    assert (after.phase, after.labels.paid) == (Phase.CONVERGED, before.labels.paid)
    assert [record.digest for record in after.stages] == [record.digest for record in before.stages]


def test_a_job_whose_frames_were_refused_begins_anew_with_other_ones() -> None:
    run = Run(resource(**WITHOUT_AIMD))
    run.answer = answer
    prepare = run.until(0, StageKind.PREPARE)
    said = StageResult(ok=False, reason=Reason.DATA_INVALID, message="spec.holdout.data has 3 frames")
    broken = job_of(prepare, failed_pod(ExitCode.USER_ERROR, result=said))
    assert run.step(broken).status.phase is Phase.FAILED
    run.edit(**restart(0))
    assert created(run.step(broken, seconds=1)).spec.stage is StageKind.PREPARE
    assert run.to_the_end().phase is Phase.CONVERGED


def test_a_restart_trained_otherwise_needs_no_new_labels_for_its_first_iteration() -> None:
    run = Run(resource(**WITHOUT_AIMD))
    run.answer = answer
    run.to_the_end()
    run.edit(**budget(run.status.labels.paid), **restart(0), training={"steps": 9000})
    run.step(seconds=1)
    assert condition(run.status, ConditionType.READY).reason == "NotConverged"
    assert run.to_the_end().phase is Phase.BUDGET_EXHAUSTED, "the next one's MD is another, and no label is left"


@pytest.mark.parametrize(("measured", "remarked"), [("holdout", False), ("prequential", True)])
def test_labels_without_virial_are_told_by_those_that_are_computed(measured: str, remarked: bool) -> None:
    def answer(spec: StageSpec, reused: bool = False) -> StageResult:
        result = good_result(spec, reused)
        trained = result.found(TrainOutcome)
        found = trained and getattr(trained.errors, measured)
        return with_errors(result, **{measured: found.model_copy(update=NO_VIRIAL)}) if found else result

    stages = [{"temperaturesKelvin": [300], "pressuresBar": [1], "ensemble": "NPT"}]
    run = Run(resource(**GIVEN, exploration={"stages": stages}))
    run.answer = answer
    run.to_the_end()
    assert ("no new label has a virial" in run.status.cautions.get("LabelsWithoutVirial", "")) is remarked


@pytest.mark.parametrize(
    ("given", "measured", "advice"),
    [
        (GIVEN, "holdout", "Add frames of more trajectories to the files of spec.holdout.data, and restart"),
        (GIVEN, "prequential", "Ask for more replicas (spec.exploration)"),
        ({}, "holdout", "Ask for more replicas (spec.exploration)"),
    ],
)
def test_what_gives_an_interval_is_asked_of_files_or_of_md(given: dict[str, Any], measured: str, advice: str) -> None:
    few = {"frames": 5, "trajectories": 2, "force_rmse_low": None, "force_rmse_high": None}

    def answer(spec: StageSpec, reused: bool = False) -> StageResult:
        result = talkative_result(spec, reused)
        trained = result.found(TrainOutcome)
        found = trained and getattr(trained.errors, measured)
        return with_errors(result, **{measured: found.model_copy(update=few)}) if found else result

    limits = {"forceRMSE": 0.08, "confidence": 0.9}
    run = Run(resource(**given, convergence=limits, budget={"maxIterations": 1, "maxLabels": 40}))
    run.answer = answer
    message = run.to_the_end().iterations[-1].message
    assert message.count("5 frames of 2 trajectories, fewer than 4, give no interval. ") == 1, message
    assert f"give no interval. {advice}" in message


@pytest.mark.parametrize(
    ("strata", "phase"),
    [
        (["bulk/holdout.data[0]", "surface/300K/1bar"], Phase.CONVERGED),
        (["bulk/300K/1bar", "bulk/900K/1bar"], Phase.MAX_ITERATIONS),
        (["bulk,surface/300K,900K"], Phase.CONVERGED),
    ],
)
def test_each_system_must_be_in_it_where_each_stratum_is_judged(strata: list[str], phase: Phase) -> None:
    systems = [{"name": name, "structures": {"uri": "s3://pfd/si.extxyz"}} for name in ("bulk", "surface")]

    def answer(spec: StageSpec, reused: bool = False) -> StageResult:
        result = talkative_result(spec, reused)
        if spec.stage is not StageKind.TRAIN:
            return result
        return with_found(result, holdout_strata=strata)

    limits = {"forceRMSE": 0.08, "everyStratum": True}
    run = Run(resource(**GIVEN, systems=systems, convergence=limits, budget={"maxIterations": 3, "maxLabels": 40}))
    run.answer = answer
    assert run.to_the_end().phase is phase
    words = "the hold-out has no frame in surface, so the error there is not known: spec.holdout.data has none of it"
    assert (words in run.status.iterations[-1].message) is (phase is Phase.MAX_ITERATIONS)


@pytest.mark.parametrize("first", [1, 2])
def test_a_change_that_the_api_server_let_through_refuses_a_restart_that_cannot_be(first: int) -> None:
    run = Run(resource())
    run.until(0, StageKind.LABEL)
    run.edit(**WITHOUT_AIMD, **restart(first))
    told = {event.reason: event.message for event in run.step(seconds=1).events}
    assert "from 0 only" in told["RestartRefused"]

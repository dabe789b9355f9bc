"""Iterations done again and the budget of labels: what the store has costs none, what it has not keeps within it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from pfd_operator.api.conditions import ConditionType, Phase
from pfd_operator.api.status import KEPT_RECORDS, JobStatus
from pfd_operator.contract.digest import digest_of
from pfd_operator.contract.outcome import SelectOutcome
from pfd_operator.contract.result import LabelCounts, Reason, StageResult
from pfd_operator.contract.stage import StageKind, StageSpec
from pfd_operator.plan.types import CreateJob
from tests.stage_results import labels_after
from tests.unit.operator.plan.plan_answers import good_result
from tests.unit.operator.plan.plan_samples import (
    NEVER,
    SETTINGS,
    START,
    Run,
    condition,
    created,
    distill_resource,
    failed_pod,
    job_of,
    pod,
    resource,
    said,
    succeeded,
)
from tests.unit.operator.plan.redone_samples import FOUND, budget, converged, digests, frames, paid, restart


@pytest.mark.parametrize("labels", [12, 13, 14, 40])
@pytest.mark.parametrize("first", [0, 1, 2])
def test_a_restart_without_a_change_gives_the_same_again_whatever_is_left(labels: int, first: int) -> None:
    run = converged(labels)
    before = run.status
    run.answer = FOUND
    for word in ("once", "twice"):
        run.edit(**restart(first, word))
        run.step(seconds=1)
        after = run.to_the_end()
        assert (after.phase, after.model, paid(after)) == (Phase.CONVERGED, before.model, paid(before))
        assert (digests(after), after.labels.paid) == (digests(before), 12)


def test_restarts_from_ever_earlier_give_the_same_again() -> None:
    run = converged()
    before, run.answer = run.status, FOUND
    for first in (2, 1, 0):
        run.edit(**restart(first, f"from {first}"))
        # not to the end: the next one comes while this one is under way
        run.step(seconds=1)
        run.until(first, StageKind.SELECT)
    assert run.to_the_end().phase is Phase.CONVERGED
    assert (digests(run.status), paid(run.status)) == (digests(before), paid(before))


def test_the_iteration_after_those_that_are_done_again_goes_by_what_is_left() -> None:
    run = Run(resource(convergence={"forceRMSE": 1e-6}, **budget(13, iterations=2)))
    assert run.to_the_end().phase is Phase.MAX_ITERATIONS
    run.answer = FOUND
    run.edit(**budget(13, iterations=3), **restart(2))
    run.step(seconds=1)
    assert frames(run.until(2, StageKind.SELECT)) == 3
    assert frames(run.until(3, StageKind.SELECT)) == 1


def test_an_iteration_trained_otherwise_finds_its_labels() -> None:
    run = converged()
    before, run.answer = digests(run.status), FOUND
    run.edit(training={"steps": 9000}, **restart(2))
    run.step(seconds=1)
    after = digests(run.to_the_end())
    assert run.status.phase is Phase.CONVERGED
    assert after[2, StageKind.SELECT] == before[2, StageKind.SELECT]
    assert after[2, StageKind.TRAIN] != before[2, StageKind.TRAIN]


def test_after_another_training_no_label_is_left_for_the_iteration_that_follows() -> None:
    run = converged()
    run.answer = FOUND
    run.edit(training={"steps": 9000}, **restart(1))
    run.step(seconds=1)
    assert run.to_the_end().phase is Phase.BUDGET_EXHAUSTED
    assert digests(run.status)[1, StageKind.TRAIN]
    assert (2, StageKind.EXPLORE) not in digests(run.status), "nothing is spent on MD that cannot be labelled"


@pytest.mark.parametrize(
    ("first", "change", "words"),
    [
        (0, {"seed": 8}, "at least 6 new labels, and 0 of 12 are left. Raise spec.budget.maxLabels to 18 or more"),
        (2, {"seed": 8}, "at least 1 new labels, and 0 of 12 are left. Raise spec.budget.maxLabels to 13 or more"),
        (2, {"selection": {"framesPerIteration": 2}}, "Raise spec.budget.maxLabels to 13 or more"),
    ],
)
def test_what_would_need_labels_that_are_not_left_is_refused_with_their_number(
    first: int, change: dict[str, Any], words: str
) -> None:
    run = converged()
    model = run.status.model
    run.edit(**change, **restart(first))
    (told,) = run.step(seconds=1).events
    assert (told.reason, words in told.message) == ("RestartRefused", True)
    assert (run.status.phase, run.status.model) == (Phase.CONVERGED, model)
    run.edit(**budget(18), **restart(first, "with more labels"))
    assert created(run.step(seconds=1)).spec.iteration == first


@pytest.mark.parametrize("stage", [StageKind.EXPLORE, StageKind.SELECT, StageKind.LABEL])
def test_a_stage_that_committed_under_another_name_than_it_was_asked_by_is_found_again(stage: StageKind) -> None:
    """As a selection does that lacks trajectories of MD."""

    def answer(spec: StageSpec, reused: bool = False) -> StageResult:
        result = good_result(spec, reused)
        if spec.stage is not stage:
            return result
        return result.model_copy(update={"digest": digest_of([spec.digest, "lacking"]), "asked": spec.digest})

    run = Run(resource(**budget(12)))
    run.answer = answer
    assert run.to_the_end().phase is Phase.CONVERGED
    before = run.status
    run.answer = partial(answer, reused=True)
    run.edit(**restart(2))
    assert created(run.step(seconds=1)).spec.iteration == 2
    after = run.to_the_end()
    assert (after.phase, digests(after), paid(after)) == (Phase.CONVERGED, digests(before), paid(before))


@pytest.mark.parametrize("images", [{"worker_image": "worker:2"}, {"engine_images": {"xtb": "xtb:2"}}])
def test_another_image_does_not_find_the_labels(images: dict[str, Any]) -> None:
    run = converged()
    run.settings = replace(run.settings, **images)
    run.edit(**restart(2))
    (told,) = run.step(seconds=1).events
    assert told.reason == "RestartRefused"
    assert run.status.phase is Phase.CONVERGED


def test_a_selection_that_is_not_found_again_does_not_exceed_the_budget() -> None:
    """The image changes while the iterations are done again."""
    run = converged()
    run.answer = FOUND
    run.edit(**restart(1))
    run.step(seconds=1)
    run.until(2, StageKind.EXPLORE)
    run.answer = good_result
    select = run.until(2, StageKind.SELECT)
    assert frames(select) == 3
    decision = run.step(succeeded(select), seconds=1)
    assert not [action for action in decision.actions if isinstance(action, CreateJob)]
    assert "StageRetried" in [event.reason for event in decision.events]
    assert run.status.phase is Phase.BUDGET_EXHAUSTED
    assert condition(run.status, ConditionType.READY).reason == "LabelBudgetExhausted"
    run.edit(**budget(14))
    again = created(run.step(seconds=1))
    assert (again.spec.stage, again.spec.attempt, frames(again)) == (StageKind.SELECT, select.spec.attempt + 1, 2)
    assert run.until(2, StageKind.LABEL).spec.inputs["select"].digest != select.spec.digest


@pytest.mark.parametrize("left", [0, 2])
def test_labels_that_no_pod_told_of_are_counted_by_the_selection_that_follows_a_restart(left: int) -> None:
    """Train failed after all of them were paid for: `LabelsFailed`, then a colder exploration."""

    def uncounted(spec: StageSpec, reused: bool = False) -> StageResult:
        result = good_result(spec, reused)
        silent = (spec.iteration, spec.stage) == (2, StageKind.LABEL)
        return result.model_copy(update={"labels": None}) if silent else result

    run = Run(resource(**budget(12 + left)))
    run.answer = uncounted
    train = run.until(2, StageKind.TRAIN)
    refused = StageResult(ok=False, reason=Reason.LABELS_FAILED, message="3 of 3 failed")
    run.step(job_of(train, failed_pod(64, result=refused)), seconds=1)
    assert (run.status.phase, run.status.labels.paid) == (Phase.FAILED, 9)

    def answer(spec: StageSpec, reused: bool = False) -> StageResult:
        result = good_result(spec, reused)
        ledger = LabelCounts(paid=12)
        return result if spec.stage is not StageKind.SELECT else result.model_copy(update={"labels": ledger})

    run.edit(seed=8, **restart(2))
    run.step(seconds=1)
    select = run.until(2, StageKind.SELECT)
    assert frames(select) == 3
    run.step(succeeded(select, answer), seconds=1)
    assert run.status.labels.paid == 12
    if not left:
        assert run.status.phase is Phase.BUDGET_EXHAUSTED
        return
    run.answer = answer
    again = created(run.decision)
    assert (again.spec.stage, frames(again)) == (StageKind.SELECT, 2)
    (told,) = run.decision.events
    assert told.message.endswith("asked for more labels than are left (12 are paid for, not 9)")
    assert run.until(2, StageKind.LABEL).spec.inputs["select"].digest == again.spec.digest


def test_a_selection_that_asks_for_too_much_again_and_again_fails() -> None:
    def greedy(spec: StageSpec, reused: bool = False) -> StageResult:
        result = good_result(spec, reused)
        if not isinstance(result.outcome, SelectOutcome):
            return result
        return result.model_copy(update={"outcome": result.outcome.model_copy(update={"labels": 99})})

    run = Run(resource(**budget(12)))
    select = run.until(2, StageKind.SELECT)
    for failures in range(1, SETTINGS.max_counted_failures):
        decision = run.step(succeeded(select, greedy), seconds=1)
        assert not [action for action in decision.actions if isinstance(action, CreateJob)]
        assert run.status.active is not None and run.status.active.counted_failures == failures
        assert "it asks for more labels than are left (9 of 12 are paid for)" in decision.events[0].message
        again = created(run.step(seconds=300))
        assert again.spec.digest == select.spec.digest
        select = again
    run.step(succeeded(select, greedy), seconds=1)
    ready = condition(run.status, ConditionType.READY)
    assert (run.status.phase, ready.reason) == (Phase.FAILED, "AttemptsExhausted")
    assert "raise spec.budget.maxLabels" in ready.message


def test_labels_are_counted_while_they_are_computed_and_asked_for_no_more_when_they_failed() -> None:
    run = Run(resource(**budget(14)))
    label = run.until(2, StageKind.LABEL)
    first = StageResult(ok=True, digest=label.spec.digest, labels=LabelCounts(paid=10))
    heard = pod("Succeeded", name="pod-0", index=0, exit_code=0, finished_at=START, result=first)
    run.step(job_of(label, heard, pod(name="pod-1", index=1)), seconds=1)
    assert run.status.labels.paid == 10
    train = created(run.step(succeeded(label), seconds=1))
    refused = StageResult(ok=False, reason=Reason.LABELS_FAILED, message="3 of 3 failed")
    run.step(job_of(train, failed_pod(64, result=refused)), seconds=1)
    assert (run.status.phase, run.status.labels.paid) == (Phase.FAILED, 12)
    run.edit(seed=8, **restart(2))
    run.step(seconds=1)
    assert frames(run.until(2, StageKind.SELECT)) == 2


def of_earlier_version(status: JobStatus) -> JobStatus:
    """It kept the stages of iteration 0 no longer than others."""
    return status.model_copy(update={"stages": status.stages[-KEPT_RECORDS:]})


def test_a_start_too_old_to_be_on_record_does_not_exceed_the_budget_either() -> None:
    run = Run(resource(convergence={"forceRMSE": 1e-6}, **budget(24, iterations=6)))
    assert run.to_the_end().phase is Phase.MAX_ITERATIONS
    run.status = of_earlier_version(run.status)
    ended, stages = run.status, digests(run.status)
    assert (0, StageKind.SELECT) not in stages
    run.answer = FOUND
    run.edit(**restart(0))
    run.step(seconds=1)
    assert run.to_the_end().phase is Phase.MAX_ITERATIONS
    assert stages.items() <= digests(run.status).items() and paid(run.status) == paid(ended)
    run.answer, run.status = good_result, of_earlier_version(run.status)
    run.edit(**restart(0, "with another image"))
    run.settings = replace(run.settings, worker_image="worker:2")
    run.step(seconds=1)
    assert run.to_the_end().phase is Phase.BUDGET_EXHAUSTED
    assert "repeating the start takes 6: raise the budget to 30" in condition(run.status, ConditionType.READY).message
    assert (0, StageKind.LABEL) not in digests(run.status)


def test_labels_that_were_begun_are_part_of_what_an_iteration_may_ask_for() -> None:
    def answer(spec: StageSpec, reused: bool = False) -> StageResult:
        result = good_result(spec, reused)
        if (spec.iteration, spec.stage) != (2, StageKind.SELECT):
            return result
        # two of three are paid already when it is selected once more
        return result.model_copy(update={"labels": LabelCounts(paid=labels_after(1) + 2), "reused": reused})

    run = Run(resource(**budget(12)))
    select = run.until(2, StageKind.SELECT)
    label = created(run.step(succeeded(select, answer), seconds=1))
    assert run.status.labels.paid == 11
    run.edit(**restart(2))
    run.step(job_of(label, pod()), seconds=1)
    run.answer = FOUND
    run.step(seconds=1)
    assert frames(run.until(2, StageKind.SELECT)) == 3


@pytest.mark.parametrize(("labels", "first"), [(9, 1), (12, 1), (12, 2), (12, 0)])
def test_a_student_is_made_again_with_all_labels_paid(labels: int, first: int) -> None:
    run = Run(distill_resource(acceptance={"forceRMSE": 1e-6}, **budget(labels)))
    before = run.to_the_end()
    assert (before.phase, before.labels.paid) == (Phase.CONVERGED, labels)
    run.answer = partial(good_result, reused=True)
    run.edit(**restart(first))
    run.step(seconds=1)
    after = run.to_the_end()
    assert (after.phase, digests(after), paid(after)) == (Phase.CONVERGED, digests(before), paid(before))


def test_another_student_needs_labels_for_its_round() -> None:
    run = Run(distill_resource(acceptance={"forceRMSE": 1e-6}, **budget(12)))
    run.to_the_end()
    run.edit(seed=8, **restart(2))
    (told,) = run.step(seconds=1).events
    assert (told.reason, "maxLabels to 13 or more" in told.message) == ("RestartRefused", True)


def test_a_student_made_again_with_larger_rounds_goes_by_the_budget_of_now() -> None:
    run = Run(distill_resource(**budget(12)))
    assert run.to_the_end().labels.paid == 12
    run.answer = FOUND
    run.edit(**budget(400), selection={"framesPerIteration": 20}, **restart(0))
    run.step(seconds=1)
    assert run.to_the_end().phase is Phase.CONVERGED


def test_an_iteration_given_up_before_its_labels_selects_by_the_budget_of_now() -> None:
    run = Run(resource(convergence=NEVER, **budget(13)))
    assert frames(run.until(3, StageKind.SELECT)) == 1
    run.to_the_end()
    run.edit(**budget(300), seed=8, **restart(3))
    run.step(seconds=1)
    explore = run.until(3, StageKind.EXPLORE)
    pods = [failed_pod(64, name=f"pod-{index}", index=index, result=said(Reason.GPU_UNUSABLE)) for index in range(2)]
    run.step(job_of(explore, *pods), seconds=1)
    assert run.status.phase is Phase.FAILED
    run.edit(**restart(3, "on other nodes"))
    run.step(seconds=1)
    assert frames(run.until(3, StageKind.SELECT)) == 3

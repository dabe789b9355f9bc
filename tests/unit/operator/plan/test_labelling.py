"""Labels that failed, or were under way, and are asked for again: what a restart may pay for."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from pfd_operator.api.conditions import ConditionType, Phase
from pfd_operator.contract.result import LabelCounts, Reason, StageResult
from pfd_operator.contract.stage import StageKind, StageSpec
from pfd_operator.plan.observed import ObservedJob
from tests.job_specs import SPEC
from tests.unit.operator.plan.plan_answers import good_result, with_found
from tests.unit.operator.plan.plan_samples import (
    NEVER,
    OTHER_TEACHER,
    START,
    TEACHER,
    Run,
    condition,
    created,
    distill_resource,
    failed_pod,
    job_of,
    pod,
    resource,
    succeeded,
)
from tests.unit.operator.plan.redone_samples import FOUND, budget, converged, digests, frames, restart


def labels_failed(labels: int, standing: int = 1) -> Run:
    """A job of which all labels are paid; of iteration 2 each of two pods has as many of three that stand."""

    def answer(spec: StageSpec, reused: bool = False) -> StageResult:
        result = good_result(spec, reused)
        failed = (spec.iteration, spec.stage) == (2, StageKind.LABEL)
        return with_found(result, labels=standing, failed=1) if failed else result

    run = Run(resource(convergence=NEVER, **budget(labels)))
    run.answer = answer
    train = run.until(2, StageKind.TRAIN)
    refused = StageResult(ok=False, reason=Reason.LABELS_FAILED, message="1 of 3 failed")
    run.step(job_of(train, failed_pod(64, result=refused)), seconds=1)
    assert (run.status.phase, run.status.labels.paid) == (Phase.FAILED, 12)
    run.answer = FOUND
    return run


LABELS_OTHERWISE: list[dict[str, Any]] = [
    {},
    {"pods": {"label": {"resources": {"limits": {"memory": "8Gi"}}}}},
    {"labeling": SPEC["labeling"] | {"timeoutSeconds": 9000}},
    {"labeling": SPEC["labeling"] | {"framesPerPod": 3}},
    {"labeling": SPEC["labeling"] | {"maxFailedFraction": 0.9}},
]


@pytest.mark.parametrize("change", LABELS_OTHERWISE)
def test_labels_are_tried_again_within_the_budget_only(change: dict[str, Any]) -> None:
    run = labels_failed(12)
    before = digests(run.status)
    for word in ("once", "twice"):
        run.edit(**change, **restart(2, word))
        run.step(seconds=1)
        assert run.to_the_end().phase is Phase.BUDGET_EXHAUSTED
        ready = condition(run.status, ConditionType.READY)
        assert ready.reason == "LabelBudgetExhausted"
        assert "iteration 2 may lack up to 1" in ready.message and "Raise the budget to 13" in ready.message
    run.edit(**budget(13))
    label = created(run.step(seconds=1))
    assert label.spec.stage is StageKind.LABEL
    assert label.spec.inputs["select"].digest == before[2, StageKind.SELECT], "the frames that are paid"
    assert created(run.step(succeeded(label), seconds=1)).spec.stage is StageKind.TRAIN


@pytest.mark.parametrize("change", LABELS_OTHERWISE)
def test_labels_that_stand_are_found_with_other_time_and_memory(change: dict[str, Any]) -> None:
    run = labels_failed(12, standing=2)
    run.edit(**change, **restart(2))
    run.step(seconds=1)
    assert frames(run.until(2, StageKind.SELECT)) == 3
    assert run.until(2, StageKind.TRAIN).spec.iteration == 2


def test_labels_that_a_job_of_before_had_failed_are_tried_again_by_no_restart_that_selects_anew() -> None:
    run = labels_failed(14)
    run.edit(seed=8, **restart(2))
    run.answer = good_result
    run.step(seconds=1)
    assert frames(run.until(2, StageKind.SELECT)) == 2
    assert run.until(2, StageKind.LABEL).spec.iteration == 2


def test_labels_of_pods_that_are_gone_stand_as_they_said() -> None:
    run = Run(resource(convergence=NEVER, **budget(12)))
    label = run.until(2, StageKind.LABEL)
    done = succeeded(label)
    run.step(replace(done, pods=(done.pods[0], pod(index=1)), succeeded_indexes=1), seconds=1)
    run.step(replace(done, pods=done.pods[1:]), seconds=1)
    assert run.status.labelled[2].lacks is None


def a_label_failed(labels: int) -> Run:
    """A job that went on without one of the three labels of iteration 2: one of two pods has one that stands."""

    def answer(spec: StageSpec, reused: bool = False) -> StageResult:
        result = good_result(spec, reused)
        failed = (spec.iteration, spec.stage) == (2, StageKind.LABEL)
        return with_found(result, labels=1, failed=1) if failed else result

    run = Run(resource(**budget(labels)))
    run.answer = answer
    assert run.to_the_end().labels.paid == 12
    run.answer = partial(answer, reused=True)
    return run


@pytest.mark.parametrize("first", [0, 1, 2])
@pytest.mark.parametrize("change", [{}, {"training": {"steps": 9000}}])
def test_labels_that_failed_and_are_not_asked_for_otherwise_are_done_without_again(
    first: int, change: dict[str, Any]
) -> None:
    run = a_label_failed(12)
    before = digests(run.status)
    for word in ("once", "twice"):
        run.edit(**change, **restart(first, word))
        run.step(seconds=1)
        after = run.to_the_end()
        if first == 2 or not change:
            assert (after.phase, after.labels.paid) == (Phase.CONVERGED, 12)
        assert digests(after)[first, StageKind.LABEL] == before[first, StageKind.LABEL]


def test_more_time_that_is_taken_back_costs_no_label() -> None:
    run = a_label_failed(12)
    run.edit(**LABELS_OTHERWISE[2], **restart(2))
    run.step(seconds=1)
    assert run.to_the_end().phase is Phase.BUDGET_EXHAUSTED
    assert "iteration 2 may lack up to 1" in condition(run.status, ConditionType.READY).message
    run.edit(labeling=SPEC["labeling"], **restart(2, "as before"))
    run.step(seconds=1)
    assert run.to_the_end().phase is Phase.CONVERGED


def test_labels_of_a_pod_that_failed_are_tried_again_within_the_budget_only() -> None:
    run = Run(resource(convergence=NEVER, **budget(12)))
    label = run.until(2, StageKind.LABEL)
    for attempt in range(run.settings.max_counted_failures):
        done = succeeded(label)
        lost = failed_pod(1, index=1)
        run.step(replace(done, pods=(done.pods[0], lost), succeeded_indexes=1, failed_indexes=1), seconds=1)
        if attempt + 1 < run.settings.max_counted_failures:
            label = created(run.step(seconds=600))
    run.until(2, StageKind.TRAIN)
    run.answer = FOUND
    run.edit(training={"steps": 9000}, **restart(2))
    run.step(seconds=1)
    run.step(seconds=1)
    assert run.to_the_end().phase is Phase.BUDGET_EXHAUSTED
    assert "iteration 2 may lack up to 1" in condition(run.status, ConditionType.READY).message


def labels_under_way(labels: int, paid: int) -> tuple[Run, ObservedJob]:
    """A job of which one of the two pods that label iteration 2 has told of two of three labels that stand."""
    run = Run(resource(convergence=NEVER, **budget(labels)))
    label = run.until(2, StageKind.LABEL)
    first = good_result(label.spec).model_copy(update={"labels": LabelCounts(paid=paid)})
    heard = pod("Succeeded", name="pod-0", index=0, exit_code=0, finished_at=START, result=first)
    running = job_of(label, heard, pod(name="pod-1", index=1), succeeded_indexes=1)
    run.step(running, seconds=1)
    run.answer = FOUND
    return run, running


def is_tried_again_within_the_budget(run: Run, before: dict[tuple[int, StageKind], str]) -> None:
    """One of three labels of iteration 2 does not stand; the frames are those that were selected before."""
    assert frames(run.until(2, StageKind.SELECT)) == 3
    if run.resource.spec.budget.max_labels == run.status.labels.paid:
        assert run.to_the_end().phase is Phase.BUDGET_EXHAUSTED
        assert "iteration 2 may lack up to 1" in condition(run.status, ConditionType.READY).message
        run.edit(**budget(run.status.labels.paid + 1))
        run.step(seconds=1)
    assert run.until(2, StageKind.LABEL).spec.inputs["select"].digest == before[2, StageKind.SELECT]


OTHER_TIME_OR_MEMORY = pytest.mark.parametrize("change", LABELS_OTHERWISE[1:4])
UNDER_WAY = pytest.mark.parametrize(("labels", "paid"), [(12, 11), (12, 12), (13, 11), (40, 12)])


@OTHER_TIME_OR_MEMORY
@UNDER_WAY
def test_labels_under_way_are_found_with_other_time_and_memory(change: dict[str, Any], labels: int, paid: int) -> None:
    run, running = labels_under_way(labels, paid)
    before = digests(run.status)
    run.edit(**change, **restart(2))
    assert "RestartRefused" not in [event.reason for event in run.step(running, seconds=1).events]
    run.step(seconds=1)
    is_tried_again_within_the_budget(run, before)


@OTHER_TIME_OR_MEMORY
@UNDER_WAY
def test_labels_of_a_stage_that_failed_are_found_with_other_time_and_memory(
    change: dict[str, Any], labels: int, paid: int
) -> None:
    run, running = labels_under_way(labels, paid)
    before = digests(run.status)
    run.step(replace(running, pods=(*running.pods, failed_pod(64, index=1))), seconds=1)
    assert run.status.phase is Phase.FAILED
    run.edit(**change, **restart(2))
    run.step(seconds=1)
    is_tried_again_within_the_budget(run, before)


def test_a_label_stage_that_failed_is_the_same_again_without_a_change() -> None:
    run, running = labels_under_way(12, 12)
    run.step(replace(running, pods=(*running.pods, failed_pod(64, index=1))), seconds=1)
    run.edit(**restart(2))
    run.step(seconds=1)
    assert run.until(2, StageKind.TRAIN).spec.iteration == 2


def test_more_memory_twice_before_the_labels_are_begun_does_not_exceed_the_budget() -> None:
    run = a_label_failed(12)
    run.edit(training={"steps": 9000}, **restart(2))
    run.step(seconds=1)
    run.until(2, StageKind.SELECT)
    run.edit(**LABELS_OTHERWISE[1], **restart(2, "with more memory"))
    run.step(seconds=1)
    run.step(seconds=1)
    assert run.to_the_end().phase is Phase.BUDGET_EXHAUSTED
    assert "iteration 2 may lack up to 1" in condition(run.status, ConditionType.READY).message


def test_an_engine_that_changes_before_labels_are_found_again_does_not_exceed_the_budget() -> None:
    run = converged()
    run.answer = FOUND
    run.edit(**restart(2))
    run.step(seconds=1)
    run.until(2, StageKind.SELECT)
    run.settings = replace(run.settings, engine_images={"xtb": "xtb:2"})
    assert run.to_the_end().phase is Phase.BUDGET_EXHAUSTED
    assert "iteration 2 may lack up to 3" in condition(run.status, ConditionType.READY).message


def test_labels_of_a_selection_of_an_earlier_version_are_tried_again_within_the_budget_only() -> None:
    run = Run(resource(convergence=NEVER, **budget(12)))
    run.until(2, StageKind.LABEL)
    counts = {name: count for name, count in run.status.counts.items() if name != "labels"}
    run.status = run.status.model_copy(update={"counts": counts, "labelled": {}})
    label = created(run.step(seconds=1))
    run.answer = lambda spec, reused=False: with_found(good_result(spec), labels=1)
    run.step(succeeded(label, run.answer), seconds=1)
    run.answer = FOUND
    run.edit(**LABELS_OTHERWISE[1], **restart(2))
    run.step(seconds=1)
    run.step(seconds=1)
    assert run.to_the_end().phase is Phase.BUDGET_EXHAUSTED
    assert "iteration 2 may lack up to 1" in condition(run.status, ConditionType.READY).message


def test_another_engine_does_not_find_the_labels_under_way() -> None:
    run, running = labels_under_way(13, 11)
    run.settings = replace(run.settings, engine_images={"xtb": "xtb:2"})
    run.edit(**restart(2))
    run.step(running, seconds=1)
    run.step(seconds=1)
    assert frames(run.until(2, StageKind.SELECT)) == 2


def test_a_start_with_another_teacher_does_not_find_the_labels() -> None:
    run = Run(distill_resource(**budget(12)))
    assert run.to_the_end().labels.paid == 12
    run.teacher = OTHER_TEACHER
    run.edit(**restart(0))
    (told,) = run.step(seconds=1).events
    assert (told.reason, "0 of 12 are left" in told.message) == ("RestartRefused", True)
    run.teacher = TEACHER
    run.edit(**restart(0, "the same teacher"))
    assert created(run.step(seconds=1)).spec.stage is StageKind.PREPARE

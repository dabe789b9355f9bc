"""Labels that failed, or were under way, and are asked for again; pods that may not begin, as too few are left."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pfd_operator.api.conditions import ConditionType, Phase
from pfd_operator.api.status import LABELS_LACKING
from pfd_operator.contract.result import LabelCounts, Reason, StageResult
from pfd_operator.contract.stage import StageKind, StageSpec
from pfd_operator.plan.observed import ObservedJob
from pfd_operator.plan.types import Decision, PlannedJob
from tests.job_specs import SPEC
from tests.unit.operator.plan.plan_answers import Answer, good_result
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
    said,
    succeeded,
)
from tests.unit.operator.plan.redone_samples import FOUND, budget, converged, digests, frames, restart


def refuses(lacks: int) -> Answer:
    """What pods say whose label stage lacks so many, in a job of which 12 are paid."""

    def answer(spec: StageSpec, reused: bool = False) -> StageResult:
        if spec.stage is not StageKind.LABEL:
            return good_result(spec, reused=True)
        return said(Reason.LABEL_BUDGET).model_copy(update={"labels": LabelCounts(paid=12), "lacks": lacks})

    return answer


def refused(run: Run, label: PlannedJob, lacks: int, **changes: Any) -> Decision:
    """Let one of the pods of a label stage say that it may not begin, before the others do."""
    said_so = failed_pod(64, index=0, result=refuses(lacks)(label.spec))
    return run.step(job_of(label, said_so, pod(name="pod-2", index=1), **changes), seconds=1)


def is_refused_until_there_are(run: Run, labels: int) -> PlannedJob:
    """The job has ended, says how many it takes, and labels when there are as many; return that Job."""
    assert run.status.phase is Phase.BUDGET_EXHAUSTED
    for kind in (ConditionType.READY, ConditionType.PROGRESSING):
        now = condition(run.status, kind)
        assert now.reason == "LabelBudgetExhausted"
        assert f"iteration 2 lacks {labels - 12}" in now.message and f"Raise it to {labels} to go on" in now.message
    for most in (run.resource.spec.budget.max_labels, labels - 1):
        run.edit(**budget(most))
        decision = run.step(seconds=600)
        assert (decision.actions, decision.events, run.status.phase) == ((), (), Phase.BUDGET_EXHAUSTED)
    run.edit(**budget(labels))
    label = created(run.step(seconds=1))
    assert (label.spec.stage, label.spec.budget and label.spec.budget.max_labels) == (StageKind.LABEL, labels)
    return label


def labels_failed(labels: int) -> Run:
    """A job of which all labels are paid, and too many of iteration 2 have failed."""
    run = Run(resource(convergence=NEVER, **budget(labels)))
    train = run.until(2, StageKind.TRAIN)
    run.step(job_of(train, failed_pod(64, result=said(Reason.LABELS_FAILED))), seconds=1)
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
def test_labels_are_tried_again_within_the_budget_as_their_pods_have_counted(change: dict[str, Any]) -> None:
    run = labels_failed(12)
    before = digests(run.status)
    for word in ("once", "twice"):
        run.edit(**change, **restart(2, word))
        run.step(seconds=1)
        # by the store: another job may have computed them since
        label = run.until(2, StageKind.LABEL)
        assert label.spec.inputs["select"].digest == before[2, StageKind.SELECT], "the frames that are paid"
        assert label.spec.budget is not None and label.spec.budget.max_labels == 12
        refused(run, label, 1)
    label = is_refused_until_there_are(run, 13)
    assert label.spec.inputs["select"].digest == before[2, StageKind.SELECT]
    assert created(run.step(succeeded(label), seconds=1)).spec.stage is StageKind.TRAIN


@pytest.mark.parametrize("change", LABELS_OTHERWISE)
def test_labels_that_stand_are_found_with_other_time_and_memory(change: dict[str, Any]) -> None:
    run = labels_failed(12)
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


def test_a_budget_that_was_raised_meanwhile_lets_labels_go_on_at_once() -> None:
    run = Run(resource(convergence=NEVER, **budget(12)))
    label = run.until(2, StageKind.LABEL)
    run.edit(**budget(13))
    refused(run, label, 1)
    again = created(run.step(seconds=1))
    assert (again.spec.attempt, again.spec.digest) == (2, label.spec.digest)
    assert again.spec.budget is not None and again.spec.budget.max_labels == 13


def test_what_ends_a_job_is_known_where_an_earlier_definition_prunes_its_attempt() -> None:
    run = Run(resource(convergence=NEVER, **budget(12)))
    label = run.until(2, StageKind.LABEL)
    known = run.status.to_json()["active"].keys()
    refused(run, label, 1)
    stored = run.status.to_json()
    stored["active"] = {name: value for name, value in stored["active"].items() if name in known}
    run.status = type(run.status).model_validate(stored)
    is_refused_until_there_are(run, 13)
    assert LABELS_LACKING not in run.status.counts


@pytest.mark.parametrize("counts", [{}, {"failed": 1}, {"wasted": 1}])
def test_a_program_that_changed_between_attempts_is_told_and_failures_only_where_there_are_some(
    counts: dict[str, int],
) -> None:
    run = Run(resource(convergence=NEVER, **budget(12)))
    label = run.until(2, StageKind.LABEL)
    done = pod("Succeeded", name="pod-0", index=0, exit_code=0, finished_at=START, result=good_result(label.spec))
    run.step(job_of(label, done, failed_pod(1, index=1), succeeded_indexes=1, failed_indexes=1, finished="Failed"))
    again = created(run.step(seconds=600))
    lacking = said(Reason.LABEL_BUDGET).model_copy(
        update={"labels": LabelCounts(paid=12, **counts), "lacks": 3, "digest": "ef" * 32}
    )
    run.step(job_of(again, failed_pod(64, index=0, result=lacking), pod(name="pod-2", index=1)), seconds=1)
    message = condition(run.status, ConditionType.READY).message
    assert run.status.phase is Phase.BUDGET_EXHAUSTED
    assert "program or a file of it is another now (its image," in message and "Raise it to 15 to go on" in message
    assert ("would be tried again" in message) is bool(counts)


def test_memory_that_changes_while_labels_wait_is_within_the_budget() -> None:
    run = Run(resource(convergence=NEVER, **budget(12)))
    label = run.until(2, StageKind.LABEL)
    run.step(replace(succeeded(label), pods=(failed_pod(1, index=1),), succeeded_indexes=1, failed_indexes=1))
    run.edit(**LABELS_OTHERWISE[1])
    other = created(run.step(seconds=600))
    assert other.spec.digest != label.spec.digest
    refused(run, other, 1)
    is_refused_until_there_are(run, 13)


def test_a_pod_that_may_not_begin_while_the_job_is_suspended_ends_it_when_it_goes_on() -> None:
    run = Run(resource(convergence=NEVER, **budget(12)))
    label = run.until(2, StageKind.LABEL)
    run.edit(suspend=True)
    refused(run, label, 1)
    assert run.status.phase is Phase.SUSPENDED
    run.edit(suspend=False)
    run.step(seconds=1)
    is_refused_until_there_are(run, 13)


def test_what_an_earlier_version_knew_of_labels_is_read_and_let_go() -> None:
    run = Run()
    run.until(1, StageKind.LABEL)
    stored = run.status.to_json()
    stored["labelled"]["1"] |= {"lacks": 2, "again": 1}
    stored["active"]["told"] |= {"labels": 3}
    read = type(run.status).model_validate(stored)
    assert (read.labelled, read.active) == (run.status.labelled, run.status.active)


@pytest.mark.parametrize("first", [0, 1, 2])
@pytest.mark.parametrize("change", [{}, {"training": {"steps": 9000}}])
def test_labels_that_are_not_asked_for_otherwise_are_the_same(first: int, change: dict[str, Any]) -> None:
    run = converged()
    run.answer = FOUND
    before = digests(run.status)
    for word in ("once", "twice"):
        run.edit(**change, **restart(first, word))
        run.step(seconds=1)
        after = run.to_the_end()
        if first == 2 or not change:
            assert (after.phase, after.labels.paid) == (Phase.CONVERGED, 12)
        assert digests(after)[first, StageKind.LABEL] == before[first, StageKind.LABEL]


def test_more_time_that_is_taken_back_costs_no_label() -> None:
    run = converged()
    run.answer = FOUND
    run.edit(**LABELS_OTHERWISE[2], **restart(2))
    run.step(seconds=1)
    refused(run, run.until(2, StageKind.LABEL), 1)
    assert run.status.phase is Phase.BUDGET_EXHAUSTED
    run.edit(labeling=SPEC["labeling"], **restart(2, "as before"))
    run.step(seconds=1)
    assert run.to_the_end().phase is Phase.CONVERGED


def labels_under_way(labels: int, paid: int) -> tuple[Run, ObservedJob]:
    """A job of which one of the two pods that label iteration 2 has told of its labels."""
    run = Run(resource(convergence=NEVER, **budget(labels)))
    label = run.until(2, StageKind.LABEL)
    first = good_result(label.spec).model_copy(update={"labels": LabelCounts(paid=paid)})
    heard = pod("Succeeded", name="pod-0", index=0, exit_code=0, finished_at=START, result=first)
    running = job_of(label, heard, pod(name="pod-1", index=1), succeeded_indexes=1)
    run.step(running, seconds=1)
    run.answer = FOUND
    return run, running


def asks_for_the_same(run: Run, before: dict[tuple[int, StageKind], str]) -> None:
    assert frames(run.until(2, StageKind.SELECT)) == 3
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
    asks_for_the_same(run, before)


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
    asks_for_the_same(run, before)


def test_a_label_stage_that_failed_is_the_same_again_without_a_change() -> None:
    run, running = labels_under_way(12, 12)
    run.step(replace(running, pods=(*running.pods, failed_pod(64, index=1))), seconds=1)
    run.edit(**restart(2))
    run.step(seconds=1)
    assert run.until(2, StageKind.TRAIN).spec.iteration == 2


@pytest.mark.parametrize("most", [14, 40])
@pytest.mark.parametrize("change", LABELS_OTHERWISE)
def test_frames_that_a_small_budget_allowed_are_labelled_with_a_larger_one(change: dict[str, Any], most: int) -> None:
    run = Run(resource(convergence=NEVER, **budget(13)))
    assert frames(run.until(3, StageKind.SELECT)) == 1
    before = run.until(3, StageKind.LABEL).spec.inputs["select"].digest
    run.step(job_of(created(run.decision), failed_pod(64, index=0)), seconds=1)
    assert run.status.phase is Phase.FAILED
    run.answer = FOUND
    run.edit(**budget(most) | change, **restart(3))
    run.step(seconds=1)
    assert run.until(3, StageKind.LABEL).spec.inputs["select"].digest == before


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

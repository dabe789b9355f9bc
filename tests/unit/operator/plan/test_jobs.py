"""What many pods say of their stage, also those that are gone when it ends."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pfd_operator.api.conditions import ConditionType, Phase
from pfd_operator.api.status import ActiveState, Told
from pfd_operator.contract.result import Reason, StageResult
from pfd_operator.contract.stage import StageKind, StageSpec
from pfd_operator.plan.failures import Failure, Remedy
from pfd_operator.plan.jobs import Success
from pfd_operator.plan.observed import ObservedJob, ObservedPod
from pfd_operator.plan.types import PlannedJob
from tests.unit.operator.plan.plan_answers import good_result
from tests.unit.operator.plan.plan_samples import (
    Run,
    after,
    created,
    end_as_seen,
    failed_pod,
    job_of,
    pod,
    said,
    succeeded,
)

FOUND, EDITED = "ab" * 32, "ef" * 32
"""Names that a label stage commits under, by what its engine was."""


def found(spec: StageSpec, reused: bool = False) -> StageResult:
    """What a worker says whose engine has contents of its own."""
    result = good_result(spec, reused)
    named = spec.stage is StageKind.LABEL
    return result.model_copy(update={"digest": FOUND, "asked": spec.digest}) if named else result


def labelling() -> tuple[Run, PlannedJob]:
    """A job whose three label pods run."""
    run = Run()
    run.answer = found
    planned = run.until(0, StageKind.LABEL)
    assert planned.completions == 3
    run.step(job_of(planned, *(pod(name=f"pod-{index}", index=index) for index in range(3))), seconds=1)
    return run, planned


def complete(planned: PlannedJob, *pods: ObservedPod) -> ObservedJob:
    """A Job all of whose indexes have succeeded, with those pods of it that are there."""
    return job_of(planned, *pods, finished="Complete", succeeded_indexes=planned.completions)


def with_digest(ended: ObservedPod, digest: str) -> ObservedPod:
    assert ended.result is not None
    return replace(ended, result=ended.result.model_copy(update={"digest": digest}))


def test_a_stage_whose_pods_are_gone_unheard_is_asked_for_again_and_told() -> None:
    run, planned = labelling()
    decision = run.step(complete(planned), seconds=1)
    assert decision.unseen, "the caches may be behind"
    assert "label" not in run.status.inputs
    (told,) = decision.events
    assert f"a pod of Job {planned.name} of the label stage is gone" in told.message
    again = created(run.step(complete(planned), seconds=1000))
    assert run.status.active is not None and run.status.active.counted_failures == 0
    run.step(succeeded(again, found), seconds=1)
    assert created(run.decision).spec.inputs["label"].digest == FOUND


def test_what_pods_said_is_kept_when_they_are_gone() -> None:
    run, planned = labelling()
    first, second, third = succeeded(planned, found).pods
    run.step(job_of(planned, first, second, succeeded_indexes=2), seconds=1)
    assert run.status.active is not None and run.status.active.told == Told(digest=FOUND, indexes="0-1")
    run.step(job_of(planned, first, third, succeeded_indexes=3), seconds=1)
    assert [event.reason for event in run.decision.events if event.warning] == []
    assert created(run.decision).spec.inputs["label"].digest == FOUND


def test_a_stage_all_of_whose_pods_have_said_so_needs_none_of_them() -> None:
    run, planned = labelling()
    run.step(replace(succeeded(planned, found), succeeded_indexes=2), seconds=1)
    assert run.status.stages[-1].stage is StageKind.SELECT
    run.step(complete(planned), seconds=1)
    record = run.status.stages[-1]
    assert (record.stage, record.digest, record.asked) == (StageKind.LABEL, FOUND, planned.spec.digest)


def test_pods_that_found_other_files_than_those_gone_before_end_the_attempt_at_once() -> None:
    run, planned = labelling()
    first, second, _ = succeeded(planned, found).pods
    run.step(job_of(planned, first, succeeded_indexes=1), seconds=1)
    running = pod(name="pod-2", index=2)
    decision = run.step(job_of(planned, with_digest(second, EDITED), running, succeeded_indexes=2), seconds=1)
    assert run.status.active is not None and run.status.active.state is ActiveState.BACKOFF
    assert "(InputsChanged)" in decision.events[0].message
    created(run.step(seconds=1000))
    assert run.status.active.told == Told()


@pytest.mark.parametrize(("digest", "by_others"), [(EDITED, True), (FOUND, False), (None, False)])
def test_a_pod_that_finds_no_label_of_the_others_by_other_programs_ends_the_attempt_and_not_the_job(
    digest: str | None, by_others: bool
) -> None:
    run, planned = labelling()
    lacking = said(Reason.LABEL_BUDGET).model_copy(update={"lacks": 1000, "digest": digest})
    refused = failed_pod(64, name="pod-1", index=1, result=lacking)
    first, *_ = succeeded(planned, found).pods
    run.step(job_of(planned, first, refused, pod(name="pod-2", index=2), succeeded_indexes=1), seconds=1)
    if not by_others:
        assert run.status.phase is Phase.BUDGET_EXHAUSTED
        return
    assert run.status.active is not None and run.status.active.counted_failures == 1
    assert "(InputsChanged)" in run.decision.events[0].message
    created(run.step(seconds=1000))


def test_a_pod_gone_unheard_among_others_is_asked_for_again_and_in_the_end_its_results_are_used() -> None:
    run, planned = labelling()
    for attempt in (1, 2, 3):
        assert planned.spec.attempt == attempt
        ended = complete(planned, *succeeded(planned, found).pods[1:])
        decision = run.step(ended, seconds=1)
        assert decision.unseen
        if attempt < 3:
            planned = created(run.step(ended, seconds=1000))
    (told,) = [event for event in decision.events if event.reason == "StageIncomplete"]
    assert "did not hear 1 of its 3 pods, which ended well: their results are used if" in told.message
    assert f"below stages/{FOUND}; of one: a pod of Job {planned.name}" in told.message
    assert "goes on without" not in told.message
    assert created(decision).spec.inputs["label"].digest == FOUND


def test_a_pod_that_ended_well_and_said_nothing_is_asked_for_again() -> None:
    run, planned = labelling()
    first, *others = succeeded(planned, found).pods
    decision = run.step(complete(planned, replace(first, result=None), *others), seconds=1)
    assert not decision.unseen
    assert "ended well, but its result was lost" in decision.events[0].message
    silent = [replace(each, result=None) for each in (first, *others)]
    ended = end_as_seen(complete(planned, *silent))
    assert not isinstance(ended, Success) and ended is not None and ended.remedy is Remedy.RETRY


AWAY, CRASHED = said(Reason.STORE_UNAVAILABLE, "S3 away"), said(Reason.INTERNAL_ERROR, "segfault")
HICCUP = failed_pod(75, name="try-0", index=0, result=AWAY)


@pytest.mark.parametrize(
    ("tries", "remedy"),
    [
        ([AWAY, CRASHED, CRASHED], Remedy.RETRY),
        ([CRASHED, CRASHED, AWAY], Remedy.OUTAGE),
    ],
)
@pytest.mark.parametrize("others", [True, False], ids=["others succeeded", "others failed"])
def test_an_index_failed_for_the_reason_of_its_last_pod(tries: list[StageResult], remedy: Remedy, others: bool) -> None:
    _, planned = labelling()
    of_first = [
        replace(failed_pod(1, index=0, result=result), name=f"try-{number}", created_at=after(number))
        for number, result in enumerate(tries)
    ]
    rest = succeeded(planned, found).pods[1:]
    if not others:
        rest = tuple(failed_pod(1, name=f"pod-{index}", index=index, result=CRASHED) for index in (1, 2))
    count = 2 if others else 0
    ended = end_as_seen(job_of(planned, *of_first, *rest, succeeded_indexes=count, failed_indexes=3 - count))
    failure = ended.lacking if isinstance(ended, Success) else ended
    assert failure is not None and (failure.remedy, failure.message) == (remedy, tries[-1].message)


def test_an_index_that_succeeded_in_a_pod_that_is_gone_has_not_failed() -> None:
    _, planned = labelling()
    _, *others = succeeded(planned, found).pods
    ended = end_as_seen(complete(planned, HICCUP, *others), Told(digest=FOUND, indexes="0"))
    assert isinstance(ended, Success) and (ended.missing, ended.unheard, ended.lacking) == (0, 0, None)


@pytest.mark.parametrize("seen", [[], [pod(name="try-1", index=0, created_at=after(1))]], ids=["gone", "seen running"])
def test_an_index_that_succeeded_unseen_after_an_outage_is_asked_for_and_nothing_waits(seen: list[ObservedPod]) -> None:
    run, planned = labelling()
    decision = run.step(complete(planned, HICCUP, *seen, *succeeded(planned, found).pods[1:]), seconds=1)
    assert decision.unseen
    (told,) = decision.events
    assert "is gone without an outcome" in told.message
    assert not [each for each in run.status.conditions if each.type == ConditionType.STUCK and each.status == "True"]


def test_an_outage_that_one_index_failed_by_is_confirmed_while_another_that_succeeded_is_not_seen() -> None:
    _, planned = labelling()
    failed = replace(HICCUP, name="pod-1", index=1)
    job = job_of(planned, failed, succeeded(planned, found).pods[2], succeeded_indexes=2, failed_indexes=1)
    ended = end_as_seen(job)
    assert isinstance(ended, Success) and ended.lacking is not None
    assert (ended.missing, ended.unheard) == (1, 1)
    assert (ended.lacking.remedy, ended.lacking.unseen) == (Remedy.OUTAGE, True)


def test_a_lack_of_memory_that_was_overcome_unseen_ends_no_job() -> None:
    _, planned = labelling()
    killed = failed_pod(137, name="try-0", index=0, container_reason="OOMKilled")
    ended = end_as_seen(complete(planned, killed))
    assert isinstance(ended, Failure) and (ended.remedy, ended.unseen) == (Remedy.RETRY_FREE, True)

"""Jobs out of a backup have another uid: with status they go on, without it they ask for the same again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pfd_operator.api.conditions import ConditionType, Phase
from pfd_operator.api.status import FineTuneJobStatus
from pfd_operator.contract.stage import StageKind
from tests.unit.operator.plan.plan_samples import Run, condition, created, job_of, pod

UID = "9b3e2a4e-0000-4000-8000-000000000009"


def restored(run: Run, with_status: bool) -> None:
    """Make the resource anew out of what was saved of it."""
    run.edit(budget={"maxIterations": 5, "maxLabels": 40})
    run.resource = replace(run.resource, uid=UID, generation=1)
    if not with_status:
        run.status = FineTuneJobStatus()


@pytest.mark.parametrize("seen", [False, True])
def test_with_its_status_a_job_goes_on(seen: bool) -> None:
    run = Run()
    label = run.until(1, StageKind.LABEL)
    if seen:
        run.step(job_of(label, pod()), seconds=1)
    restored(run, with_status=True)
    run.step(seconds=600)
    again = created(run.decision if not seen else run.step(seconds=600))
    assert (again.spec.iteration, again.spec.stage, again.spec.job.uid) == (1, StageKind.LABEL, UID)
    assert again.spec.digest == label.spec.digest, "what was done is found in the store"
    assert condition(run.status, ConditionType.SPEC_CHANGED).status == "False"
    assert run.to_the_end().phase is Phase.CONVERGED


def test_with_its_status_a_job_that_had_ended_stays_ended() -> None:
    run = Run()
    run.to_the_end()
    restored(run, with_status=True)
    assert run.step(seconds=600).actions == ()
    assert run.status.phase is Phase.CONVERGED


def test_without_status_it_begins_anew_and_asks_for_the_same() -> None:
    run = Run()
    first = run.until(0, StageKind.PREPARE)
    run.to_the_end()
    restored(run, with_status=False)
    run.step(seconds=600)
    again = created(run.decision)
    assert (again.spec.stage, again.spec.digest) == (StageKind.PREPARE, first.spec.digest)

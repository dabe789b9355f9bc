"""Going back to the start of an iteration: out of every phase, with other settings, never with two live attempts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pfd_operator.api.conditions import ConditionType, Phase
from pfd_operator.contract.result import ExitCode, Reason, StageResult
from pfd_operator.contract.stage import StageKind, TrainParams
from pfd_operator.plan.types import CreateJob, DeleteJob
from tests.unit.operator.plan.plan_samples import (
    Run,
    after,
    condition,
    created,
    failed_pod,
    job_of,
    pod,
    resource,
    succeeded,
)
from tests.unit.operator.plan.redone_samples import numbers, reasons, restart


def test_a_converged_job_goes_on_for_a_tighter_limit() -> None:
    run = Run()
    assert numbers(run.to_the_end()) == [0, 1, 2]
    run.edit(convergence={"forceRMSE": 0.03, "consecutive": 1}, **restart(3))
    job = created(run.step(seconds=100))
    assert (job.spec.iteration, job.spec.stage) == (3, StageKind.EXPLORE)
    assert run.status.phase is Phase.RUNNING
    assert reasons(run)[0] == "Restarted"
    assert run.status.suspended_seconds == 100, "the time it had ended counts for no deadline"
    status = run.to_the_end()
    assert (status.phase, numbers(status)) == (Phase.CONVERGED, [0, 1, 2, 3])
    assert condition(status, ConditionType.SPEC_CHANGED).status == "False"


def test_an_iteration_is_done_again_with_other_settings_and_reads_the_one_before() -> None:
    run = Run()
    before = run.to_the_end()
    digests = {(record.iteration, record.stage): record.digest for record in before.stages}
    run.edit(training={"steps": 9000}, **restart(2))
    explore = created(run.step())
    assert numbers(run.status) == [0, 1]
    assert run.status.model == before.model, "the best there is"
    assert explore.spec.inputs["model"].digest == digests[1, StageKind.TRAIN]
    assert explore.spec.digest == digests[2, StageKind.EXPLORE], "what did not change is found in the store"
    train = run.until(2, StageKind.TRAIN)
    assert isinstance(train.spec.params, TrainParams)
    assert train.spec.params.training.steps == 9000
    assert train.spec.digest != digests[2, StageKind.TRAIN]
    assert run.to_the_end().phase is Phase.CONVERGED


def test_names_of_jobs_are_new_ones() -> None:
    run = Run()
    first = run.until(1, StageKind.SELECT)
    done = succeeded(first)
    run.step(done, seconds=1)
    run.edit(**restart(1))
    label = job_of(created(run.decision), pod())
    run.step(done, label)
    assert DeleteJob(label.name, label.uid) in run.decision.actions
    again = created(run.step(done, seconds=1))
    assert (again.spec.iteration, again.spec.stage, again.spec.attempt) == (1, StageKind.EXPLORE, 2)
    assert created(run.step(done, succeeded(again), seconds=1)).name != first.name
    assert run.status.stages[-1].attempts == 1


def test_nothing_begins_while_an_attempt_of_before_may_live() -> None:
    run = Run()
    planned = run.until(1, StageKind.LABEL)
    run.edit(**restart(1))
    alive = job_of(planned, pod())
    assert [type(action) for action in run.step(alive).actions] == [DeleteJob]
    assert run.status.iteration == 1
    assert "Restarted" not in reasons(run)
    going = replace(alive, deleting=True)
    waiting = run.step(going, seconds=1)
    assert waiting.actions == () and waiting.requeue_after_seconds == 1.0
    assert created(run.step(seconds=1)).spec.stage is StageKind.EXPLORE
    assert reasons(run)[0] == "Restarted"


@pytest.mark.parametrize("stage", [StageKind.SELECT, StageKind.TRAIN])
def test_nothing_of_the_restarts_settings_begins_before_it(stage: StageKind) -> None:
    """What hangs is a pod of a stage that has ended: a double of one whose result was taken."""
    run = Run()
    explored = run.until(1, StageKind.EXPLORE)
    double = pod(name="double", index=0, grace_ends_at=after(1e6))
    hangs = replace(succeeded(explored), pods=(*succeeded(explored).pods, double))
    running = job_of(run.until(1, stage), pod())
    run.step(hangs, running, seconds=1)
    run.edit(training={"steps": 9000}, **restart(1))
    run.step(hangs, running, seconds=1)
    for jobs in ((hangs, replace(running, deleting=True)), (hangs,)):
        assert not [action for action in run.step(*jobs, seconds=60).actions if isinstance(action, CreateJob)]
    assert run.status.restart_id == ""
    again = created(run.step(seconds=1))
    assert (again.spec.iteration, again.spec.stage) == (1, StageKind.EXPLORE)


def test_limits_of_a_restart_that_waits_end_nothing() -> None:
    run = Run()
    explored = succeeded(run.until(1, StageKind.EXPLORE))
    hangs = replace(explored, pods=(*explored.pods, pod(name="double", index=0, grace_ends_at=after(1e6))))
    train = run.until(1, StageKind.TRAIN)
    run.edit(convergence={"forceRMSE": 0.08, "consecutive": 1}, **restart(9, "impossible"))
    run.step(hangs, succeeded(train), seconds=1)
    before = run.status.restart_id
    run.edit(**restart(1))
    run.step(hangs, succeeded(train), seconds=1)
    assert (run.status.phase, run.status.restart_id) == (Phase.RUNNING, before)


def test_a_job_whose_attempt_is_not_seen_yet_waits_until_it_is() -> None:
    run = Run()
    planned = run.until(1, StageKind.LABEL)
    run.edit(**restart(0))
    assert created(run.step()).name == planned.name
    assert run.status.restart_id == ""


def test_a_suspended_job_whose_attempt_was_never_made_does_not_wait_for_it() -> None:
    run = Run()
    run.until(1, StageKind.LABEL)
    run.edit(suspend=True)
    run.step(seconds=1)
    run.edit(suspend=True, **restart(0))
    run.step(seconds=1)
    assert run.decision.unseen
    assert (run.status.phase, run.status.restart_id) == (Phase.SUSPENDED, restart(0)["restart"]["id"])


def test_a_failed_job_goes_on_where_its_user_wants() -> None:
    run = Run()
    planned = run.until(1, StageKind.TRAIN)
    said = StageResult(ok=False, reason=Reason.TRAINING_FAILED, message="out of patience")
    broken = job_of(planned, failed_pod(ExitCode.USER_ERROR, result=said))
    assert run.step(broken).status.phase is Phase.FAILED
    run.edit(**restart(1))
    again = created(run.step(broken, seconds=1))
    assert (again.spec.iteration, again.spec.attempt) == (1, 2)
    assert run.to_the_end().phase is Phase.CONVERGED


def test_jobs_of_an_ended_job_that_are_being_swept_away_are_waited_for() -> None:
    run = Run()
    planned = run.until(1, StageKind.TRAIN)
    assert run.to_the_end().phase is Phase.CONVERGED
    swept = replace(job_of(planned), deleting=True, pods=())
    run.edit(**restart(1))
    waiting = run.step(swept, seconds=1)
    assert "Restarted" not in reasons(run) and waiting.requeue_after_seconds == 1.0
    assert created(run.step(seconds=1)).spec.stage is StageKind.EXPLORE


def test_a_restart_is_the_way_out_of_a_stage_whose_job_is_refused() -> None:
    run = Run()
    explore = run.until(1, StageKind.EXPLORE)
    refusal = "the API server refused a child: denied by policy: parallelism is 2"
    run.step(refusal=refusal)
    run.edit(exploration={**run.resource.spec.exploration.to_json(), "pods": 1}, **restart(1))
    again = created(run.step(seconds=1, refusal=refusal))
    assert run.decision.unseen, "it may have been created all the same"
    assert (again.parallelism, again.name != explore.name) == (1, True)
    assert (run.status.restart_id, reasons(run)) == ("again", ["Restarted"])
    assert condition(run.status, ConditionType.STUCK).status == "False", "that was another Job"


def test_a_restart_happens_once_and_again_with_another_word() -> None:
    run = Run()
    run.to_the_end()
    run.edit(**restart(1))
    run.to_the_end()
    assert run.status.phase is Phase.CONVERGED
    assert not [action for action in run.step(seconds=1).actions if isinstance(action, CreateJob)]
    run.edit(**restart(1, "once more"))
    assert created(run.step(seconds=1)).spec.iteration == 1


@pytest.mark.parametrize(("limit", "phase"), [(0.08, Phase.CONVERGED), (0.05, Phase.RUNNING)])
def test_iterations_that_stay_are_judged_by_the_limits_of_now(limit: float, phase: Phase) -> None:
    run = Run()
    run.to_the_end()
    run.edit(convergence={"forceRMSE": limit, "consecutive": 2}, **restart(3))
    status = run.step(seconds=1).status
    # 0.2, 0.067 and 0.04 eV/Å
    assert (status.phase, status.consecutive) == (phase, 2 if phase is Phase.CONVERGED else 1)


def test_limits_that_nothing_on_record_tells_of_do_not_hold_for_iterations_that_stay() -> None:
    run = Run()
    run.to_the_end()
    run.edit(convergence={"forceRMSE": 0.08, "explodedFraction": 0}, **restart(3))
    status = run.step(seconds=1).status
    assert (status.phase, status.consecutive) == (Phase.RUNNING, 0)


def test_a_new_job_has_nothing_to_go_back_to() -> None:
    run = Run(resource(**restart(0)))
    run.until(0, StageKind.EXPLORE)
    assert run.status.restart_id == "again"


def test_the_start_can_be_done_again() -> None:
    run = Run()
    run.to_the_end()
    run.edit(seed=8, **restart(0))
    assert created(run.step()).spec.stage is StageKind.PREPARE
    status = run.to_the_end()
    assert (status.phase, numbers(status)) == (Phase.CONVERGED, [0, 1, 2])


def test_a_suspended_job_stays_suspended() -> None:
    run = Run()
    run.until(1, StageKind.EXPLORE)
    run.edit(suspend=True)
    run.step()
    run.edit(suspend=True, **restart(0))
    for _ in range(2):
        run.step(seconds=1)
    assert run.status.phase is Phase.SUSPENDED

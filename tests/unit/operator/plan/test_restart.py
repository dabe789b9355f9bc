"""Going back to the start of an iteration: out of every phase, with other settings, never with two live attempts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pfd_operator.api.conditions import ConditionType, Phase
from pfd_operator.api.finetune import FineTuneJobSpec
from pfd_operator.api.status import KEPT_RECORDS, DistillJobStatus, JobStatus
from pfd_operator.contract.result import ExitCode, Reason, StageResult
from pfd_operator.contract.selection import Apart
from pfd_operator.contract.stage import ExploreParams, Input, PrepareParams, StageKind, TrainParams
from pfd_operator.plan.observed import ObservedTeacher
from pfd_operator.plan.types import CreateJob, DeleteJob
from tests.unit.operator.plan.plan_samples import (
    OTHER_TEACHER,
    TEACHER,
    Run,
    after,
    condition,
    created,
    distill_resource,
    failed_pod,
    job_of,
    pod,
    resource,
    succeeded,
)


def restart(iteration: int, word: str = "again") -> dict[str, Any]:
    return {"restart": {"fromIteration": iteration, "id": word}}


def reasons(run: Run) -> list[str]:
    return [event.reason for event in run.decision.events]


def numbers(status: JobStatus) -> list[int]:
    return [record.iteration for record in status.iterations]


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


def test_a_judged_student_is_judged_again() -> None:
    run = Run(distill_resource())
    run.to_the_end()
    run.edit(acceptance={"forceRMSE": 0.07, "speedup": 6}, **restart(1))
    run.step()
    status = run.status
    assert isinstance(status, DistillJobStatus)
    assert (status.acceptance, status.speedup) == ([], "")
    status = run.to_the_end()
    assert isinstance(status, DistillJobStatus)
    assert status.phase is Phase.CONVERGED
    assert status.acceptance


@pytest.mark.parametrize(("iteration", "possible"), [(4, "from 0, 1, 2, 3 only"), (700, "from 0, 1, 2, 3 only")])
def test_an_iteration_that_cannot_be_begun_is_refused_once(iteration: int, possible: str) -> None:
    run = Run()
    run.to_the_end()
    run.edit(**restart(iteration))
    decision = run.step()
    assert reasons(run) == ["RestartRefused"]
    assert possible in decision.events[0].message
    assert decision.status.phase is Phase.CONVERGED
    assert run.step().events == ()


def test_settings_changed_with_a_refused_restart_say_how_to_get_out() -> None:
    run = Run()
    label = run.until(1, StageKind.LABEL)
    assert isinstance(run.resource.spec, FineTuneJobSpec)
    before = run.resource.spec.training.to_json()
    run.edit(training={"steps": 9000}, **restart(3))
    decision = run.step(succeeded(label))
    (refused,) = [event for event in decision.events if event.reason == "RestartRefused"]
    assert "from 0, 1 only:" in refused.message
    changed = condition(run.status, ConditionType.SPEC_CHANGED)
    for message in (refused.message, changed.message):
        assert "restore" in message and "together with a new spec.restart.id" in message
    assert decision.actions == ()
    # one way out: as it was, with a new id, though the iteration still is impossible
    stopped = run.resource, run.status
    run.edit(training=before, **restart(3, "back"))
    assert created(run.step()).spec.stage is StageKind.TRAIN
    assert condition(run.status, ConditionType.SPEC_CHANGED).status == "False"
    # the other: an iteration that is possible
    run.resource, run.status = stopped
    run.edit(**restart(1, "possible"))
    assert created(run.step()).spec.iteration == 1
    assert condition(run.status, ConditionType.SPEC_CHANGED).status == "False"


@pytest.mark.parametrize(
    ("own", "limits", "consecutive"),
    [
        ({"forceRMSE": 0.08, "consecutive": 2}, {"forceRMSE": 0.08, "consecutive": 1}, 1),
        ({"forceRMSE": 0.05, "consecutive": 2}, {"forceRMSE": 0.08, "consecutive": 2}, 0),
    ],
    ids=["end", "verdict"],
)
def test_limits_of_a_refused_restart_end_nothing_and_are_no_verdict(
    own: dict[str, Any], limits: dict[str, Any], consecutive: int
) -> None:
    run = Run(resource(convergence=own))
    train = run.until(1, StageKind.TRAIN)
    run.edit(convergence=limits, **restart(9))
    assert run.step(succeeded(train), seconds=1).actions == ()
    assert (run.status.phase, run.status.stages[-1].stage) == (Phase.RUNNING, StageKind.TRAIN)
    assert condition(run.status, ConditionType.SPEC_CHANGED).status == "True"
    run.edit(convergence=own, **restart(9, "back"))
    assert created(run.step(seconds=1)).spec.iteration == 2
    assert run.status.consecutive == consecutive


def test_a_restart_that_is_possible_follows_one_that_was_not_while_a_job_is_refused() -> None:
    """Nobody creates the Job of the stage any more, so nobody waits for it."""
    run = Run()
    run.until(1, StageKind.LABEL)
    run.edit(training={"steps": 9000}, **restart(3))
    run.step(refusal="the API server refused a child: exceeded quota: jobs")
    assert condition(run.status, ConditionType.SPEC_CHANGED).status == "True"
    run.edit(**restart(1, "possible"))
    assert created(run.step(seconds=1)).spec.iteration == 1
    assert condition(run.status, ConditionType.SPEC_CHANGED).status == "False"


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


def test_other_settings_from_the_next_iteration_on_wait_for_the_end_of_the_one_that_runs() -> None:
    """The recipe in docs/api.md, by stop: AfterIteration; without it the refusal names it."""
    run = Run()
    label = run.until(1, StageKind.LABEL)
    hotter = {"stages": [{"temperaturesKelvin": [300, 900, 1500]}], "pods": 2}
    before = run.resource, run.status
    run.edit(exploration=hotter, **restart(2))
    (refused,) = [event for event in run.step(succeeded(label)).events if event.reason == "RestartRefused"]
    assert "2 can be begun when iteration 1 has ended: spec.stop AfterIteration" in refused.message
    run.resource, run.status = before
    run.edit(stop="AfterIteration")
    run.step(succeeded(label), seconds=1)
    assert created(run.decision).spec.stage is StageKind.TRAIN, "the iteration that runs is finished"
    status = run.to_the_end()
    assert (status.phase, status.iteration, numbers(status)) == (Phase.CANCELLED, 1, [0, 1])
    run.edit(exploration=hotter, stop=None, **restart(status.iteration + 1, "hot"))
    explore = created(run.step(seconds=1))
    assert (explore.spec.iteration, explore.spec.stage) == (2, StageKind.EXPLORE)
    assert isinstance(explore.spec.params, ExploreParams)
    assert explore.spec.params.exploration.stages[0].temperatures_kelvin == [300, 900, 1500]
    assert run.to_the_end().phase is Phase.CONVERGED


def test_a_refused_restart_without_a_change_has_nothing_to_restore() -> None:
    run = Run()
    run.until(1, StageKind.LABEL)
    run.edit(**restart(3))
    assert "restore" not in run.step().events[0].message


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


@pytest.mark.parametrize(
    ("teacher", "taken", "named"),
    [
        (OTHER_TEACHER, OTHER_TEACHER, "with the model of iteration 2 of FineTuneJob silicon: it ended as Converged"),
        (None, TEACHER, "keeps the teacher that it had, since a new job could not begin: waits for the teacher: there"),
        (replace(OTHER_TEACHER, phase=Phase.RUNNING), TEACHER, "FineTuneJob silicon has not ended"),
        (replace(OTHER_TEACHER, phase=Phase.CANCELLED), TEACHER, "FineTuneJob silicon was stopped before its end"),
        (replace(OTHER_TEACHER, apart=Apart.STRUCTURES), TEACHER, "but that of the teacher, FineTuneJob silicon"),
    ],
    ids=["gone on", "deleted", "runs again", "stopped", "with other starts"],
)
def test_a_student_begins_anew_with_its_teacher_as_it_is_now_if_that_can_be_had(
    teacher: ObservedTeacher | None, taken: ObservedTeacher, named: str
) -> None:
    run = Run(distill_resource())
    run.to_the_end()
    run.teacher = teacher
    run.edit(**restart(1))
    run.step()
    assert isinstance(run.status, DistillJobStatus) and run.status.teacher == TEACHER.record
    run.to_the_end()
    run.edit(**restart(0, "anew"))
    prepare = created(run.step()).spec.params
    assert isinstance(prepare, PrepareParams) and prepare.model is not None and taken.record is not None
    assert (run.status.teacher, prepare.model.uri) == (taken.record, taken.record.model_uri)
    (told,) = [event for event in run.decision.events if event.reason == "Restarted"]
    assert named in told.message and ("keeps the teacher" in told.message) is (taken is not teacher)
    assert run.to_the_end().phase is Phase.CONVERGED


def long_distillation() -> Run:
    """A student whose fifth training has failed: more stages have ended than are kept."""
    run = Run(distill_resource(acceptance={"forceRMSE": 1e-6}, budget={"maxIterations": 8, "maxLabels": 1000}))
    train = run.until(5, StageKind.TRAIN)
    refused = StageResult(ok=False, reason=Reason.TRAINING_FAILED, message="out of patience")
    run.step(job_of(train, failed_pod(ExitCode.USER_ERROR, result=refused)), seconds=1)
    assert run.status.phase is Phase.FAILED
    return run


def test_a_student_of_any_age_begins_its_rounds_again_with_the_hold_out_it_has() -> None:
    run = long_distillation()
    digests = {record.stage: record.digest for record in run.status.stages if record.iteration == 0}
    run.edit(**restart(1))
    run.step(seconds=1)
    inputs = run.until(1, StageKind.TRAIN).spec.inputs
    assert inputs[Input.HOLD_OUT].digest == digests[StageKind.LABEL]
    assert inputs[Input.HOLD_OUT_SELECT].digest == digests[StageKind.SELECT]


def test_a_student_whose_hold_out_is_on_record_no_longer_can_begin_with_another_one() -> None:
    """As an earlier version left it."""
    run = long_distillation()
    run.status = run.status.model_copy(update={"stages": run.status.stages[-KEPT_RECORDS:]})
    assert run.status.stages[0].iteration == 0
    run.edit(**restart(1))
    (told,) = run.step(seconds=1).events
    assert told.reason == "RestartRefused" and "from 0, 2, 3, 4, 5 only" in told.message


def test_a_suspended_job_stays_suspended() -> None:
    run = Run()
    run.until(1, StageKind.EXPLORE)
    run.edit(suspend=True)
    run.step()
    run.edit(suspend=True, **restart(0))
    for _ in range(2):
        run.step(seconds=1)
    assert run.status.phase is Phase.SUSPENDED

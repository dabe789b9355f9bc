"""A student and its teacher: waited for, refused, begun with, lost; and the image that has the teacher's program."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pfd_operator.api.conditions import ConditionType, Phase
from pfd_operator.api.status import TeacherRecord
from pfd_operator.contract.location import S3Location
from pfd_operator.contract.selection import Apart
from pfd_operator.contract.stage import ExploreParams, PrepareParams, StageKind
from pfd_operator.plan.observed import ObservedTeacher
from tests.unit.operator.plan.plan_samples import (
    START,
    TEACHER,
    Run,
    after,
    condition,
    distill_resource,
    job_of,
    pod,
    succeeded,
)


@pytest.mark.parametrize(
    ("teacher", "words"),
    [
        (None, "there is no FineTuneJob silicon"),
        (ObservedTeacher(Phase.RUNNING), "has not ended"),
    ],
)
def test_it_waits_for_its_teacher_and_says_so_once(teacher: ObservedTeacher | None, words: str) -> None:
    run = Run(distill_resource())
    run.teacher = teacher
    decision = run.step()
    assert (decision.actions, run.status.phase) == ((), Phase.PENDING)
    ready = condition(run.status, ConditionType.READY)
    assert (ready.reason, words in ready.message) == ("TeacherPending", True)
    assert [event.warning for event in decision.events] == [False]
    assert run.step(seconds=60).events == ()
    run.teacher = TEACHER
    assert run.to_the_end().phase is Phase.CONVERGED


@pytest.mark.parametrize("phase", [Phase.RUNNING, Phase.CONVERGED])
def test_a_teacher_at_another_s3_server_is_refused_by_both_addresses(phase: Phase) -> None:
    run = Run(distill_resource())
    run.teacher = replace(TEACHER, phase=phase, s3=S3Location(bucket="pfd", endpoint="https://s3.lab.org"))
    run.step()
    ready = condition(run.status, ConditionType.READY)
    assert (run.status.phase, ready.reason) == (Phase.PENDING, "SpecInvalid")
    assert "spec.artifacts.s3.endpoint is http://s3:7070, but the teacher, FineTuneJob silicon" in ready.message
    assert "at https://s3.lab.org" in ready.message
    run.teacher = replace(TEACHER, s3=S3Location(bucket="other", endpoint="http://s3:7070/"))
    assert run.to_the_end().phase is Phase.CONVERGED


def test_the_starts_of_a_teacher_are_kept_apart_as_the_teacher_did() -> None:
    run = Run(distill_resource())
    run.teacher = replace(TEACHER, phase=Phase.RUNNING, record=None, apart=Apart.STRUCTURES)
    run.step()
    said = condition(run.status, ConditionType.READY)
    assert (run.status.phase, said.reason) == (Phase.PENDING, "SpecInvalid")
    assert "spec.holdout.apart is Trajectories, but that of the teacher, FineTuneJob silicon" in said.message
    assert said.message.endswith("Say Structures, too")


@pytest.mark.parametrize(
    "changes",
    [
        {"holdout": {"frames": 4, "apart": "Structures"}},
        {"systems": [{"name": "diamond", "structures": {"uri": "s3://pfd/si.extxyz"}}]},
    ],
    ids=["as the teacher", "structures of its own"],
)
def test_a_hold_out_like_the_teachers_or_of_other_structures_is_fine(changes: dict[str, Any]) -> None:
    run = Run(distill_resource(**changes))
    run.teacher = replace(TEACHER, apart=Apart.STRUCTURES)
    assert run.to_the_end().phase is Phase.CONVERGED


def explored_by(*names: str) -> dict[str, Any]:
    return {"stages": [{"systems": [name], "temperaturesKelvin": [300]} for name in names]}


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["diamnd"], "spec.exploration.stages[0].systems has diamnd, and the systems of this job are diamond, tin"),
        (["diamond"], "spec.exploration.stages has none that runs tin: add it to systems of one"),
    ],
)
def test_stages_name_systems_of_the_teacher_and_leave_none_out(names: list[str], words: str) -> None:
    run = Run(distill_resource(exploration=explored_by(*names)))
    assert TEACHER.record is not None
    two = ["diamond", "tin"]
    run.teacher = ObservedTeacher(Phase.RUNNING, systems=tuple(two))
    run.step()
    said = condition(run.status, ConditionType.READY)
    assert (run.status.phase, said.reason) == (Phase.PENDING, "SpecInvalid")
    assert words in said.message and said.message.endswith("the systems of its teacher, FineTuneJob silicon")
    run.edit(exploration=explored_by("tin", "diamond"))
    run.teacher = replace(TEACHER, systems=tuple(two), record=TEACHER.record.model_copy(update={"systems": two}))
    assert run.until(1, StageKind.EXPLORE).completions == 1
    assert run.to_the_end().phase is Phase.CONVERGED


@pytest.mark.parametrize("iteration", [0, 1])
def test_a_restart_with_stages_that_do_not_fit_the_teachers_systems_is_refused(iteration: int) -> None:
    run = Run(distill_resource())
    explore = run.until(1, StageKind.EXPLORE)
    run.edit(exploration=explored_by("tin"), restart={"fromIteration": iteration, "id": "again"})
    (refused,) = [each for each in run.step(job_of(explore, pod())).events if each.reason == "RestartRefused"]
    assert refused.message.startswith("spec.exploration.stages[0].systems has tin, and the systems of this job are dia")
    assert refused.message.endswith("restore it, or ask for what can be done, together with a new spec.restart.id")
    assert run.step(job_of(explore, pod()), seconds=60).actions == (), "what runs goes on"
    run.edit(exploration=explored_by("diamond"))
    run.step(job_of(explore, pod()), seconds=60)
    held = condition(run.status, ConditionType.SPEC_CHANGED)
    assert held.status == "True" and held.message.endswith("as the Event says, together with a new spec.restart.id")
    run.edit(exploration=explored_by("diamond"), restart={"fromIteration": iteration, "id": "once more"})
    for _ in range(2):
        run.step(seconds=1)
    params = run.until(iteration, StageKind.EXPLORE).spec.params
    assert isinstance(params, ExploreParams) and params.exploration.stages[0].systems == ["diamond"]


def test_a_teacher_that_has_not_converged_is_waited_for_where_that_is_asked() -> None:
    run = Run(distill_resource(teacher={"fineTuneJob": {"name": "silicon", "requireConverged": True}}))
    for phase in (Phase.BUDGET_EXHAUSTED, Phase.FAILED):
        run.teacher = replace(TEACHER, phase=phase, end=f"it ended as {phase} (0.12 eV/Å)")
        run.step()
        said = condition(run.status, ConditionType.READY)
        assert (run.status.phase, said.reason) == (Phase.PENDING, "TeacherPending")
        assert f"has a model, but it ended as {phase} (0.12 eV/Å)" in said.message
    run.teacher = TEACHER
    run.step()
    assert run.status.active is not None and run.status.active.stage is StageKind.PREPARE


@pytest.mark.parametrize("phase", [Phase.CONVERGED, Phase.MAX_ITERATIONS, Phase.BUDGET_EXHAUSTED])
def test_a_teacher_that_came_to_an_end_of_its_own_is_begun_with_and_named(phase: Phase) -> None:
    run = Run(distill_resource())
    run.teacher = replace(TEACHER, phase=phase, end=f"it ended as {phase} (0.12 eV/Å)")
    (told,) = [event for event in run.step().events if event.reason == "Started"]
    model = "the model of iteration 2 of FineTuneJob silicon"
    assert told.message == f"the job starts with {model}: it ended as {phase} (0.12 eV/Å)"


@pytest.mark.parametrize("record", [TEACHER.record, None], ids=["with a model", "without one"])
def test_a_teacher_that_was_stopped_may_go_on_and_is_waited_for(record: TeacherRecord | None) -> None:
    run = Run(distill_resource())
    run.teacher = ObservedTeacher(Phase.CANCELLED, "it ended as Cancelled (stopped)", record)
    decision = run.step()
    ready = condition(run.status, ConditionType.READY)
    assert (decision.actions, run.status.phase, ready.reason) == ((), Phase.PENDING, "TeacherPending")
    assert "was stopped before its end, and may go on. Remove its spec.stop" in ready.message
    assert ("maxIterations" in ready.message) is (record is not None)
    assert record is None or ready.message.endswith(f"give the model as spec.teacher.uri ({record.model_uri})")
    run.teacher = TEACHER
    assert run.to_the_end().phase is Phase.CONVERGED


def test_a_teacher_that_broke_down_ends_the_job_whatever_model_it_has() -> None:
    run = Run(distill_resource())
    run.teacher = replace(TEACHER, phase=Phase.FAILED, end="it ended as Failed (no answer)")
    run.step()
    ready = condition(run.status, ConditionType.READY)
    assert (run.status.phase, ready.reason) == (Phase.FAILED, "TeacherFailed")
    assert "broke down: it ended as Failed (no answer)" in ready.message
    assert "spec.teacher.uri (s3://pfd/silicon/stages/2/best.pt)" in ready.message
    run.teacher = TEACHER
    assert run.to_the_end().phase is Phase.CONVERGED


def test_a_teacher_without_a_model_ends_the_job() -> None:
    run = Run(distill_resource())
    run.teacher = ObservedTeacher(Phase.FAILED, "it ended as Failed (prepare: no branch)")
    run.step()
    assert run.status.phase is Phase.FAILED
    ready = condition(run.status, ConditionType.READY)
    assert ready.reason == "TeacherFailed"
    assert "no branch" in ready.message


@pytest.mark.parametrize(
    "mended", [TEACHER, ObservedTeacher(Phase.RUNNING), None], ids=["there", "runs again", "deleted"]
)
def test_a_teacher_that_is_mended_brings_the_job_back(mended: ObservedTeacher | None) -> None:
    run = Run(distill_resource())
    run.teacher = ObservedTeacher(Phase.FAILED, f"it ended as Failed ({'long words ' * 200})")
    run.step()
    ended = run.status
    assert (ended.phase, ended.finished_at) == (Phase.FAILED, START)
    assert run.step(seconds=60).events == ()
    assert run.status == ended, "nothing new is said while nothing changed"
    run.teacher = mended
    run.step(seconds=60)
    assert run.status.finished_at is None
    if mended is not TEACHER:
        assert (run.status.phase, condition(run.status, ConditionType.READY).reason) == (
            Phase.PENDING,
            "TeacherPending",
        )
        run.teacher = TEACHER
        run.step(seconds=60)
    assert run.status.suspended_seconds == 0
    assert run.to_the_end().phase is Phase.CONVERGED


def test_a_teacher_that_fails_in_another_way_is_told_again() -> None:
    run = Run(distill_resource())
    for failure in ("no branch", "no memory"):
        run.teacher = ObservedTeacher(Phase.FAILED, failure)
        (told,) = run.step(seconds=60).events
        assert failure in told.message
        assert (run.status.phase, run.status.finished_at) == (Phase.FAILED, after(run.seconds))


def test_a_teacher_that_is_deleted_later_is_not_missed() -> None:
    run = Run(distill_resource())
    run.step()
    run.teacher = None
    assert run.to_the_end().phase is Phase.CONVERGED


def test_a_calculator_teaches_in_its_own_image() -> None:
    calculator = {"calculator": "sevenn.calculator:SevenNetCalculator", "parameters": {"model": "7net-0"}}
    systems = [{"name": "diamond", "structures": {"uri": "s3://pfd/si.extxyz"}}]
    run = Run(distill_resource(teacher={"calculator": calculator}, systems=systems))
    run.settings = replace(run.settings, calculator_image="worker-sevennet:1")
    run.teacher = None
    job = run.until(0, StageKind.PREPARE)
    assert job.worker_image == "worker-sevennet:1"
    assert isinstance(job.spec.params, PrepareParams)
    assert job.spec.params.calculator is not None
    run.step(succeeded(job, run.answer))
    assert run.status.phase is Phase.RUNNING


@pytest.mark.parametrize(
    ("teacher", "record", "image"),
    [
        ({"fineTuneJob": {"name": "silicon"}}, "s3://pfd/silicon/stages/2/best.pth", "worker-sevennet:1"),
        ({"fineTuneJob": {"name": "silicon"}}, "s3://pfd/silicon/stages/2/best.pt", "worker:1"),
        ({"pretrained": "7net-0"}, None, "worker-sevennet:1"),
        ({"pretrained": "DPA-3.1-3M", "branch": "Omat24"}, None, "worker:1"),
    ],
)
def test_the_image_has_the_program_of_the_teacher(teacher: dict[str, Any], record: str | None, image: str) -> None:
    systems = [] if record else [{"name": "diamond", "structures": {"uri": "s3://pfd/si.extxyz"}}]
    run = Run(distill_resource(teacher=teacher, systems=systems))
    run.settings = replace(run.settings, calculator_image="worker-sevennet:1")
    assert TEACHER.record is not None
    known = replace(TEACHER, record=TEACHER.record.model_copy(update={"model_uri": record}))
    run.teacher = known if record else None
    assert run.until(0, StageKind.PREPARE).worker_image == image

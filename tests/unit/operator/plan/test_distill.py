"""The distilling recipe: who explores, what each stage reads, when it ends, and how it waits for its teacher."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pfd_operator.api.conditions import ConditionType, Phase
from pfd_operator.api.status import DistillJobStatus, TeacherRecord
from pfd_operator.contract.location import S3Location
from pfd_operator.contract.result import Caution, CautionReason, StageResult
from pfd_operator.contract.selection import Apart
from pfd_operator.contract.stage import (
    AcceptParams,
    ExploreParams,
    LabelParams,
    PrepareParams,
    SelectParams,
    StageKind,
    StageSpec,
    TrainParams,
)
from pfd_operator.plan.observed import ObservedTeacher
from pfd_operator.plan.types import CreateJob
from tests.unit.operator.plan.plan_answers import good_result, refusing_result
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


def stages(status: DistillJobStatus) -> list[tuple[int, str]]:
    return [(record.iteration, record.stage.value) for record in status.stages]


def test_the_student_is_accepted_after_a_round_it_explored_itself() -> None:
    run = Run(distill_resource())
    status = run.to_the_end()
    assert isinstance(status, DistillJobStatus)
    assert status.phase is Phase.CONVERGED
    iteration = ["explore", "select", "label", "train"]
    assert stages(status) == [
        (0, "prepare"),
        *((0, stage) for stage in iteration[:3]),
        *((1, stage) for stage in iteration),
        *((2, stage) for stage in iteration),
        (2, "accept"),
    ]
    assert status.speedup == "9.5× at 108 atoms"
    assert status.model is not None
    assert status.model.uri.endswith("model.pth")
    assert condition(status, ConditionType.READY).reason == "Accepted"


def test_a_refused_student_is_kept_and_said_why() -> None:
    run = Run(distill_resource())
    run.answer = refusing_result
    status = run.to_the_end()
    assert status.phase is Phase.REFUSED
    assert status.model is not None
    assert "at least 6 are asked for" in condition(status, ConditionType.READY).message
    assert not [action for action in run.step(seconds=10).actions if isinstance(action, CreateJob)]


def test_the_teacher_explores_first_then_the_student() -> None:
    run = Run(distill_resource())
    first = run.until(1, StageKind.EXPLORE).spec
    assert first.inputs["model"] == first.inputs["prepare"]
    second = run.until(2, StageKind.EXPLORE).spec
    assert second.inputs["model"] == run.status.inputs["train"]
    assert isinstance(second.params, ExploreParams)
    assert second.params.systems == ["diamond"], "the systems of the FineTuneJob"


def test_all_stages_that_choose_starts_are_told_what_keeps_the_hold_out_apart() -> None:
    run = Run(distill_resource(holdout={"frames": 4, "apart": "Structures"}))
    for position in ((0, StageKind.EXPLORE), (0, StageKind.SELECT), (1, StageKind.EXPLORE)):
        params = run.until(*position).spec.params
        assert isinstance(params, ExploreParams | SelectParams)
        assert params.apart is Apart.STRUCTURES


def test_what_the_student_is_run_in_is_the_same_whatever_is_kept_apart() -> None:
    runs = [Run(distill_resource(holdout={"frames": 4, "apart": str(apart)})) for apart in Apart]
    trajectories, structures = (run.until(2, StageKind.ACCEPT).spec.params for run in runs)
    assert trajectories == structures


def test_the_first_training_gets_the_hold_out_and_later_ones_the_last_round() -> None:
    run = Run(distill_resource())
    run.until(0, StageKind.LABEL)
    holdout = run.until(1, StageKind.EXPLORE) and run.status.inputs["label"]
    asked = run.status.inputs["select"]
    first = run.until(1, StageKind.TRAIN).spec
    assert (first.inputs["holdout"], first.inputs["holdout-select"]) == (holdout, asked)
    assert first.inputs["label"] != holdout and first.inputs["select"] != asked
    assert "train" not in first.inputs
    second = run.until(2, StageKind.TRAIN).spec
    assert not {"holdout", "holdout-select"} & set(second.inputs)
    assert "train" in second.inputs
    assert isinstance(second.params, TrainParams)
    assert second.params.student is not None


def test_what_the_stages_are_told() -> None:
    run = Run(distill_resource())
    prepare = run.until(0, StageKind.PREPARE).spec.params
    assert isinstance(prepare, PrepareParams)
    assert prepare.model is not None
    assert TEACHER.record is not None
    assert (prepare.model.uri, prepare.starts) == (TEACHER.record.model_uri, TEACHER.record.starts_uri)
    assert (prepare.systems, prepare.engine) == ([], None)
    select = run.until(0, StageKind.SELECT).spec.params
    assert isinstance(select, SelectParams)
    assert (select.purpose, select.frames, select.aimd) == ("hold-out", 4, None)
    label = run.until(0, StageKind.LABEL)
    assert isinstance(label.spec.params, LabelParams)
    assert label.spec.params.engine is None
    assert (label.engine_image, label.completions) == (None, 3)
    train = run.until(1, StageKind.TRAIN).spec.params
    assert isinstance(train, TrainParams)
    assert train.max_failed_fraction == 0.2
    accept = run.until(2, StageKind.ACCEPT).spec.params
    assert isinstance(accept, AcceptParams)
    assert accept.dft_holdout == TEACHER.record.holdout_uri
    assert (accept.teacher, accept.reference) == ("silicon", TEACHER.record.reference)


DFT_DATA = [{"uri": "s3://pfd/dft/test.extxyz"}]


def test_dft_frames_of_the_user_take_the_place_of_the_teachers_hold_out() -> None:
    run = Run(distill_resource(acceptance={"forceRMSE": 0.08, "dftData": DFT_DATA}))
    prepare = run.until(0, StageKind.PREPARE).spec.params
    assert isinstance(prepare, PrepareParams)
    assert prepare.to_json()["dftData"] == DFT_DATA, "a look at them before anything is paid for"
    accept = run.until(2, StageKind.ACCEPT).spec.params
    assert isinstance(accept, AcceptParams)
    assert accept.dft_holdout is None
    assert accept.to_json()["acceptance"]["dftData"] == DFT_DATA


def test_dft_frames_change_no_stage_but_the_last_and_without_them_no_stage_knows_of_any() -> None:
    without, given = (
        Run(distill_resource(acceptance={"forceRMSE": 0.08} | more)) for more in ({}, {"dftData": DFT_DATA})
    )
    for position in ((0, StageKind.PREPARE), (2, StageKind.TRAIN), (2, StageKind.ACCEPT)):
        mine, other = (run.until(*position).spec for run in (without, given))
        assert "dftData" not in str(mine.to_json())
        assert (mine.digest == other.digest) is (position[1] is not StageKind.ACCEPT)


def test_dft_frames_may_come_with_a_restart_of_the_last_round() -> None:
    run = Run(distill_resource())
    before = run.until(2, StageKind.ACCEPT)
    run.to_the_end()
    run.edit(acceptance={"forceRMSE": 0.08, "dftData": DFT_DATA}, restart={"fromIteration": 2, "id": "dft"})
    again = run.until(2, StageKind.ACCEPT)
    assert again.spec.inputs == before.spec.inputs and again.spec.digest != before.spec.digest


def test_how_many_of_the_teachers_labels_may_fail_is_for_the_user_to_say() -> None:
    run = Run(distill_resource(labeling={"maxFailedFraction": 0.01}))
    train = run.until(1, StageKind.TRAIN).spec.params
    assert isinstance(train, TrainParams)
    assert train.max_failed_fraction == 0.01


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


def test_a_limit_against_dft_needs_a_system_of_the_teacher() -> None:
    acceptance = {"forceRMSE": 0.05, "dftForceRatio": 1.3}
    given = {"name": "slab", "structures": {"uri": "s3://pfd/si.extxyz"}}
    run = Run(distill_resource(acceptance=acceptance, systems=[given]))
    run.teacher = TEACHER
    run.step()
    said = condition(run.status, ConditionType.READY)
    assert said.reason == "SpecInvalid"
    assert "spec.acceptance.dftForceRatio is measured on the DFT hold-out of FineTuneJob silicon" in said.message
    common = [given, given | {"name": TEACHER.record.systems[0]}]
    for fine in ({"systems": common}, {"systems": [given], "acceptance": acceptance | {"dftData": DFT_DATA}}):
        run = Run(distill_resource(**{"acceptance": acceptance} | fine))
        run.teacher = TEACHER
        run.step()
        assert run.status.active is not None and run.status.active.stage is StageKind.PREPARE


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


def test_a_round_limit_leads_to_acceptance_too() -> None:
    run = Run(distill_resource(budget={"maxIterations": 1, "maxLabels": 40}))
    status = run.to_the_end()
    assert (status.phase, status.iteration) == (Phase.CONVERGED, 1)


def test_labels_that_run_out_lead_to_acceptance() -> None:
    run = Run(distill_resource(budget={"maxIterations": 9, "maxLabels": 9}, acceptance={"forceRMSE": 1e-6}))
    status = run.to_the_end()
    assert status.phase is Phase.CONVERGED, "the worker's checks decide"
    assert status.iteration == 1


@pytest.mark.parametrize("stage", [StageKind.EXPLORE, StageKind.LABEL, StageKind.TRAIN])
def test_a_budget_lowered_to_the_labels_that_are_paid_leads_to_acceptance_too(stage: StageKind) -> None:
    run = Run(distill_resource(budget={"maxIterations": 9, "maxLabels": 40}, acceptance={"forceRMSE": 1e-6}))
    planned = run.until(3, stage)
    run.edit(budget={"maxIterations": 9, "maxLabels": run.status.labels.paid})
    run.step(succeeded(planned), seconds=1)
    assert run.to_the_end().phase is Phase.CONVERGED
    assert run.status.stages[-1].stage is StageKind.ACCEPT


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


def test_systems_are_needed_without_a_fine_tune_job() -> None:
    run = Run(distill_resource(teacher={"uri": "s3://pfd/models/dpa2.pt"}))
    run.step()
    ready = condition(run.status, ConditionType.READY)
    assert (run.status.phase, ready.reason) == (Phase.PENDING, "SpecInvalid")


def test_a_hold_out_larger_than_all_frames_of_the_md_is_refused_where_the_systems_are_known() -> None:
    short = {"stages": [{"temperaturesKelvin": [300], "steps": 20, "sampleEvery": 10}]}
    silicon = {"name": "silicon", "structures": {"inline": "1\n\nSi 0 0 0\n"}}
    asked = {"teacher": {"uri": "s3://pfd/dpa2.pt"}, "exploration": short, "holdout": {"frames": 17}}
    run = Run(distill_resource(**asked, systems=[silicon]))
    run.step()
    assert "together give 8" in condition(run.status, ConditionType.READY).message
    # those of a teacher's job are known when it has ended
    waiting = Run(distill_resource(exploration=short))
    waiting.step()
    assert condition(waiting.status, ConditionType.READY).reason != "SpecInvalid"


def test_a_caution_of_a_stage_becomes_a_condition_and_is_told_once() -> None:
    caution = Caution(reason=CautionReason.SHORT_CELLS_OF_STUDENT, message="cells shorter than …: diamond 5.4 Å")

    def warned(spec: StageSpec, reused: bool = False) -> StageResult:
        result = good_result(spec, reused)
        return result.model_copy(update={"cautions": [caution]}) if spec.stage is StageKind.TRAIN else result

    run = Run(distill_resource())
    run.answer = warned
    run.until(2, StageKind.EXPLORE)
    assert caution.reason in {event.reason for event in run.decision.events}
    run.step(succeeded(run.until(2, StageKind.TRAIN), run.answer), seconds=1)
    assert caution.reason not in {event.reason for event in run.decision.events}
    said = condition(run.status, ConditionType.CAUTION)
    assert (said.status, said.reason, said.message) == ("True", caution.reason, caution.message)

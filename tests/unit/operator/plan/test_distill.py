"""The distilling recipe: who explores, what each stage reads and is told, and when it ends."""

from __future__ import annotations

import pytest

from pfd_operator.api.conditions import ConditionType, Phase
from pfd_operator.api.status import DistillJobStatus
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
from pfd_operator.plan.types import CreateJob
from tests.unit.operator.plan.plan_answers import good_result, refusing_result
from tests.unit.operator.plan.plan_samples import TEACHER, Run, condition, distill_resource, succeeded


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
    assert status.measured == ["speed-up 60.04× at 512 atoms", "energy drift 0.00012 meV/atom/ps"]
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


def test_the_students_md_may_be_longer_than_the_teachers() -> None:
    stage = {"temperaturesKelvin": [300.0], "steps": 24, "sampleEvery": 2}
    runs = [
        Run(distill_resource(exploration={"stages": [stage], "pods": 2, **factor}))
        for factor in ({}, {"studentStepsFactor": 40})
    ]
    for position in ((0, StageKind.EXPLORE), (1, StageKind.EXPLORE), (2, StageKind.EXPLORE)):
        plain, longer = (run.until(*position).spec.params for run in runs)
        assert isinstance(longer, ExploreParams)
        if position[0] < 2:
            assert longer.to_json() == plain.to_json(), "the teacher's"
    (stage_of_student,) = longer.exploration.stages
    assert (stage_of_student.steps, stage_of_student.sample_every, longer.exploration.pods) == (960, 80, 2)
    accepted, with_factor = (run.until(2, StageKind.ACCEPT).spec.params.to_json() for run in runs)
    assert accepted == with_factor


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

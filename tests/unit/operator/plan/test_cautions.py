"""Remarks on what works: each is kept until it no longer holds, and all are in one condition."""

from __future__ import annotations

import pytest

from pfd_operator.api.conditions import ConditionType
from pfd_operator.api.status import FineTuneJobStatus
from pfd_operator.contract.result import Caution, CautionReason, StageResult
from pfd_operator.contract.stage import StageKind, StageSpec
from tests.stage_results import errors
from tests.unit.operator.plan.plan_answers import good_result, with_errors
from tests.unit.operator.plan.plan_samples import Run, condition, distill_resource, resource, succeeded

CHECKED = {"engine": {"xtb": {}}, "framesPerPod": 2, "noiseCheck": {"frames": 2, "settings": {"accuracy": 0.01}}}
UNOBSERVED = Caution(reason=CautionReason.UNOBSERVED_ELEMENTS, message="spec.model was never trained on Ge.")
NOISE = "Out of reach, by the noise of the labels"


def remarks(spec: StageSpec, reused: bool = False) -> StageResult:
    """What a worker says whose model does not know an element and whose labels are noisy."""
    result = good_result(spec, reused)
    if spec.stage is StageKind.PREPARE:
        return result.model_copy(update={"cautions": [UNOBSERVED]})
    if spec.stage is StageKind.TRAIN and spec.iteration == 0:
        return with_errors(result, label_noise=errors(0.05))
    return result


def cautious(**convergence: float) -> Run:
    limits = {"consecutive": 1, **convergence}
    run = Run(resource(labeling=CHECKED, convergence=limits, budget={"maxIterations": 1}))
    run.answer = remarks
    return run


def test_a_remark_alone_is_the_condition() -> None:
    run = cautious(forceRMSE=0.08)
    run.to_the_end()
    said = condition(run.status, ConditionType.CAUTION)
    assert (said.status, said.reason, said.message) == ("True", UNOBSERVED.reason, UNOBSERVED.message)


def test_a_stage_may_remark_several_things() -> None:
    other = Caution(reason=CautionReason.SHORT_CELLS, message="cells shorter than …")
    run = cautious(forceRMSE=0.08)
    run.answer = lambda spec, reused=False: good_result(spec, reused).model_copy(
        update={"cautions": [UNOBSERVED, other] if spec.stage is StageKind.TRAIN else []}
    )
    run.to_the_end()
    assert set(run.status.cautions) == {UNOBSERVED.reason, other.reason}


def test_what_a_stage_remarks_of_two_files_is_told_of_both() -> None:
    of_files = [
        Caution(reason=CautionReason.ISOLATED_ATOMS, message=f"2 of {name}") for name in ("data", "holdout.data")
    ]
    run = cautious(forceRMSE=0.08)
    run.answer = lambda spec, reused=False: good_result(spec, reused).model_copy(
        update={"cautions": of_files if spec.stage is StageKind.PREPARE else []}
    )
    run.to_the_end()
    assert run.status.cautions == {"IsolatedAtomsLeftOut": "2 of data; 2 of holdout.data"}


def test_what_the_hold_out_lacks_stays_remarked_when_md_of_a_later_iteration_lacks_nothing() -> None:
    sparse = Caution(reason=CautionReason.HOLD_OUT_SPARSE, message="all MD of cu/3000K exploded")
    said = {(StageKind.SELECT, 0), (StageKind.TRAIN, 0), (StageKind.TRAIN, 1)}
    run = Run(resource(labeling=CHECKED, budget={"maxIterations": 1}))
    seen: list[bool] = []

    def answer(spec: StageSpec, reused: bool = False) -> StageResult:
        if spec.stage in (StageKind.TRAIN, StageKind.LABEL) or spec.iteration == 1:
            seen.append(sparse.reason in run.status.cautions)
        cautions = [sparse] if (spec.stage, spec.iteration) in said else []
        return good_result(spec, reused).model_copy(update={"cautions": cautions})

    run.answer = answer
    run.to_the_end()
    assert len(seen) > 1 and all(seen)


@pytest.mark.parametrize(
    ("reason", "stage"), [(CautionReason.FEW_STARTS, StageKind.SELECT), (CautionReason.SHORT_CELLS, StageKind.PREPARE)]
)
def test_what_starts_lack_stays_remarked_until_they_are_made_again(reason: CautionReason, stage: StageKind) -> None:
    lacking = Caution(reason=reason, message="of the starts")
    run = Run(resource(labeling=CHECKED, budget={"maxIterations": 2}))

    def answer(spec: StageSpec, reused: bool = False) -> StageResult:
        cautions = [lacking] if (spec.stage, spec.iteration) == (stage, 0) else []
        return good_result(spec, reused).model_copy(update={"cautions": cautions})

    run.answer = answer
    run.to_the_end()
    assert run.status.cautions == {reason: lacking.message}
    run.edit(restart={"fromIteration": 0, "id": "again"})
    run.answer = good_result
    run.to_the_end()
    assert run.status.cautions == {}


def test_cells_that_are_no_longer_short_for_the_student_leave_what_is_said_of_the_teacher() -> None:
    of_teacher = Caution(reason=CautionReason.SHORT_CELLS, message="silicon 5.4 Å, diamond 3.6 Å")
    of_student = Caution(reason=CautionReason.SHORT_CELLS_OF_STUDENT, message="diamond 3.4 Å")
    said = {StageKind.PREPARE: [of_teacher], StageKind.TRAIN: [of_student]}
    run = Run(distill_resource(budget={"maxIterations": 1}))
    run.answer = lambda spec, reused=False: good_result(spec, reused).model_copy(
        update={"cautions": said.get(spec.stage, [])}
    )
    run.to_the_end()
    assert run.status.cautions == {each.reason: each.message for each in (of_teacher, of_student)}
    del said[StageKind.TRAIN]
    run.edit(restart={"fromIteration": 1, "id": "again"})
    run.to_the_end()
    assert run.status.cautions == {of_teacher.reason: of_teacher.message}


def test_what_accept_no_longer_remarks_is_taken_back() -> None:
    reasons = CautionReason.DFT_FRAMES_LEFT_OUT, CautionReason.ISOLATED_ATOMS, CautionReason.FEW_TIMED_STEPS
    said = [Caution(reason=reason, message="2 of spec.acceptance.dftData[0]") for reason in reasons]
    run = Run(distill_resource())
    run.answer = lambda spec, reused=False: good_result(spec, reused).model_copy(
        update={"cautions": said if spec.stage is StageKind.ACCEPT else []}
    )
    run.to_the_end()
    assert set(run.status.cautions) == set(reasons)
    said = []
    run.edit(restart={"fromIteration": 2, "id": "again"})
    run.to_the_end()
    assert run.status.cautions == {}


@pytest.mark.parametrize(
    ("own", "limit", "said"),
    [(0.304, 0.03, True), (0.304, 0.35, False), (0.02, 0.03, False)],
    ids=["misses its own frames", "limits hold", "has learned them"],
)
def test_a_model_that_misses_a_limit_on_its_own_training_frames_lacks_steps(
    own: float, limit: float, said: bool
) -> None:
    run = Run(resource(convergence={"forceRMSE": limit, "consecutive": 1}, budget={"maxIterations": 2}))

    def answer(spec: StageSpec, reused: bool = False) -> StageResult:
        result = good_result(spec, reused)
        return with_errors(result, training=errors(own)) if spec.stage is StageKind.TRAIN else result

    run.answer = answer
    run.to_the_end()
    words = run.status.cautions.get(CautionReason.NOT_LEARNED, "")
    assert bool(words) is said
    if said:
        assert "4 of the very frames it was trained on: force RMSE 0.03 eV/Å (there 0.304)" in words
        run.edit(budget={"maxIterations": 3}, training={"steps": 9000}, restart={"fromIteration": 2, "id": "longer"})
        run.answer = good_result
        run.until(2, StageKind.SELECT)
        assert run.status.training_errors is None and CautionReason.NOT_LEARNED not in run.status.cautions


def test_a_model_that_has_learned_noisy_labels_lacks_no_steps() -> None:
    run = cautious(forceRMSE=0.03)

    def answer(spec: StageSpec, reused: bool = False) -> StageResult:
        result = remarks(spec, reused)
        return with_errors(result, training=errors(0.05)) if spec.stage is StageKind.TRAIN else result

    run.answer = answer
    run.to_the_end()
    assert CautionReason.LIMIT_BELOW_NOISE in run.status.cautions
    assert CautionReason.NOT_LEARNED not in run.status.cautions


def test_a_later_remark_leaves_an_earlier_one() -> None:
    run = cautious(forceRMSE=0.03)
    run.to_the_end()
    said = condition(run.status, ConditionType.CAUTION)
    assert (said.status, said.reason) == ("True", "LimitBelowLabelNoise")
    assert said.message.startswith(f"LimitBelowLabelNoise: {NOISE}")
    assert said.message.endswith("; UnobservedElements: spec.model was never trained on Ge")


def test_a_remark_that_no_longer_holds_goes_and_the_other_stays() -> None:
    run = cautious(forceRMSE=0.03)
    run.to_the_end()
    run.edit(
        convergence={"forceRMSE": 0.2, "consecutive": 1},
        budget={"maxIterations": 2},
        restart={"fromIteration": 1, "id": "coarser"},
    )
    run.to_the_end()
    said = condition(run.status, ConditionType.CAUTION)
    assert (said.status, said.reason, said.message) == ("True", UNOBSERVED.reason, UNOBSERVED.message)


def test_the_same_remark_of_many_pods_is_told_once_and_goes_when_it_is_not_made_again() -> None:
    fast = Caution(reason=CautionReason.LONG_TIMESTEP, message="spec.exploration has steps of 2 fs")

    def answer(spec: StageSpec, reused: bool = False) -> StageResult:
        result = good_result(spec, reused)
        remarked = spec.stage is StageKind.EXPLORE and spec.iteration == 0
        return result.model_copy(update={"cautions": [fast]}) if remarked else result

    stages = [{"temperaturesKelvin": [300, 600, 900], "steps": 500}]
    run = Run(resource(exploration={"stages": stages, "pods": 3}))
    run.answer = answer
    planned = run.until(0, StageKind.EXPLORE)
    assert planned.completions == 3
    decision = run.step(succeeded(planned, answer), seconds=1)
    assert [event.reason for event in decision.events].count(CautionReason.LONG_TIMESTEP) == 1
    run.until(1, StageKind.EXPLORE)
    assert run.status.cautions == {CautionReason.LONG_TIMESTEP: fast.message}
    run.until(1, StageKind.SELECT)
    assert run.status.cautions == {}


def test_all_remarks_together_fit_into_a_condition() -> None:
    long = {reason.value: "x" * 320 for reason in CautionReason}
    run = cautious(forceRMSE=0.03, consecutive=2)
    run.until(0, StageKind.LABEL)
    run.status = run.status.model_copy(update={"cautions": long})
    run.until(0, StageKind.TRAIN)
    # of these the recipe finds nothing to remark yet
    gone = {CautionReason.LIMIT_BELOW_NOISE, CautionReason.NOT_LEARNED, CautionReason.UNEXPLORED}
    gone |= {CautionReason.NO_VIRIALS, CautionReason.SHORT_MD, CautionReason.IDLE_GPUS}
    assert run.status.cautions.keys() == set(CautionReason) - gone
    message = condition(run.status, ConditionType.CAUTION).message
    assert len(message) <= 1024
    assert all(f"{reason}: " in message for reason in run.status.cautions)


def test_a_remark_that_an_earlier_version_has_made_is_not_lost() -> None:
    run = cautious(forceRMSE=0.03)
    run.until(0, StageKind.EXPLORE)
    # its status had the condition only
    assert isinstance(run.status, FineTuneJobStatus)
    run.status = run.status.model_copy(update={"cautions": {}})
    run.to_the_end()
    assert UNOBSERVED.message[:-1] in condition(run.status, ConditionType.CAUTION).message

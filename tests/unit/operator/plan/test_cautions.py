"""Remarks on what works: each is kept until it no longer holds, and all are in one condition."""

from __future__ import annotations

from plan_answers import errors, good_result, with_errors
from plan_samples import Run, condition, resource, succeeded

from pfd_operator.api.conditions import ConditionType
from pfd_operator.api.status import FineTuneJobStatus
from pfd_operator.contract.result import Caution, CautionReason, StageResult
from pfd_operator.contract.stage import StageKind, StageSpec

CHECKED = {"engine": {"xtb": {}}, "framesPerPod": 2, "noiseCheck": {"frames": 2, "settings": {"accuracy": 0.01}}}
UNOBSERVED = Caution(reason=CautionReason.UNOBSERVED_ELEMENTS, message="spec.model was never trained on Ge.")
NOISE = "Out of reach, by the noise of the labels"


def remarks(spec: StageSpec, reused: bool = False) -> StageResult:
    """What a worker says whose model does not know an element and whose labels are noisy."""
    result = good_result(spec, reused)
    if spec.stage is StageKind.PREPARE:
        return result.model_copy(update={"caution": UNOBSERVED})
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


def test_a_budget_that_ends_before_the_limits_can_hold_is_remarked_until_it_is_raised() -> None:
    run = Run(resource(convergence={"forceRMSE": 0.08, "consecutive": 3}, budget={"maxIterations": 2}))
    run.until(0, StageKind.EXPLORE)
    said = condition(run.status, ConditionType.CAUTION)
    assert (said.status, said.reason) == ("True", "BudgetBelowLimits")
    assert "asks for 3 iterations in a row" in said.message and "maxIterations allows 2" in said.message
    run.edit(budget={"maxIterations": 3})
    run.until(0, StageKind.LABEL)
    assert condition(run.status, ConditionType.CAUTION).status == "False"


def test_the_same_remark_of_many_pods_is_told_once_and_goes_when_it_is_not_made_again() -> None:
    fast = Caution(reason=CautionReason.LONG_TIMESTEP, message="spec.exploration has steps of 2 fs")

    def answer(spec: StageSpec, reused: bool = False) -> StageResult:
        result = good_result(spec, reused)
        remarked = spec.stage is StageKind.EXPLORE and spec.iteration == 0
        return result.model_copy(update={"caution": fast}) if remarked else result

    stages = [{"temperaturesKelvin": [300, 600, 900], "steps": 100}]
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
    assert len(run.status.cautions) == 5, "the noise of the labels is not known yet"
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

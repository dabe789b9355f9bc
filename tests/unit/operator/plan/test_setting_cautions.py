"""Remarks on settings: what of the budget, the structures, the pressures and the MD they leave out of reach."""

from __future__ import annotations

from typing import Any

import pytest

from pfd_operator.api.conditions import ConditionType
from pfd_operator.contract.outcome import TrainOutcome
from pfd_operator.contract.result import CautionReason, StageResult
from pfd_operator.contract.selection import Apart
from pfd_operator.contract.stage import StageKind, StageSpec
from tests.unit.operator.plan.plan_answers import Answer, good_result, with_errors, with_found
from tests.unit.operator.plan.plan_samples import Run, condition, distill_resource, resource


@pytest.mark.parametrize(("gpus", "told"), [(1, False), (4, True)])
def test_gpus_that_a_stage_cannot_use_are_told(gpus: int, told: bool) -> None:
    asked = {"resources": {"limits": {"nvidia.com/gpu": gpus}}}
    run = Run(resource(budget={"maxIterations": 1}, pods={"train": asked, "explore": asked}))
    run.to_the_end()
    assert (CautionReason.IDLE_GPUS in run.status.cautions) is told
    if told:
        words = run.status.cautions[CautionReason.IDLE_GPUS]
        assert "explore (4)" in words and "train (4)" not in words


def test_a_budget_that_ends_before_the_limits_can_hold_is_remarked_until_it_is_raised() -> None:
    run = Run(resource(convergence={"forceRMSE": 0.08, "consecutive": 3}, budget={"maxIterations": 2}))
    run.until(0, StageKind.EXPLORE)
    said = condition(run.status, ConditionType.CAUTION)
    assert (said.status, said.reason) == ("True", "BudgetBelowLimits")
    assert "asks for 3 iterations in a row" in said.message and "maxIterations allows 2" in said.message
    run.edit(budget={"maxIterations": 3})
    run.until(0, StageKind.LABEL)
    assert condition(run.status, ConditionType.CAUTION).status == "False"


def starting_with(structures: int) -> Answer:
    """A worker that found so many structures, and of those half for training if whole ones are kept apart."""
    told = {Apart.TRAJECTORIES: structures, Apart.STRUCTURES: structures // 2}

    def answer(spec: StageSpec, reused: bool = False) -> StageResult:
        result = good_result(spec, reused)
        return with_found(result, training_structures=told) if spec.stage is StageKind.PREPARE else result

    return answer


GLASSES = {"name": "glasses", "structures": {"uri": "s3://pfd/glasses.extxyz"}}
THREE_TEMPERATURES = {"stages": [{"temperaturesKelvin": [300, 600, 900], "ensemble": "NVT"}]}


@pytest.mark.parametrize(
    ("systems", "structures", "iterations", "said"),
    [
        (1, 40, 8, "has 40 structures for training, and at most 24 of them are starts of MD: 3 in each of 8"),
        (1, 40, 8, "Ask for 2 times the replicas"),
        (1, 24, 8, ""),
        (1, 40, 14, ""),
        # of which system they are is not known: two could have 24 each
        (2, 48, 8, ""),
        (2, 49, 8, "has 49 structures for training, and at most 48 of them"),
    ],
)
@pytest.mark.parametrize("apart", Apart)
@pytest.mark.parametrize("distills", [False, True])
def test_structures_that_no_trajectory_will_start_from_are_remarked(
    systems: int, structures: int, iterations: int, said: str, apart: Apart, distills: bool
) -> None:
    changes: dict[str, Any] = {
        "systems": [GLASSES | {"name": f"glasses-{number}"} for number in range(systems)],
        "exploration": THREE_TEMPERATURES,
        "budget": {"maxIterations": iterations},
        "holdout": {"apart": apart},
    }
    run = Run(distill_resource(**changes) if distills else resource(**changes))
    run.answer = starting_with(structures if apart is Apart.TRAJECTORIES else 2 * structures)
    run.until(0, StageKind.EXPLORE)
    message = run.status.cautions.get("StructuresNotExplored", "")
    assert said in message and bool(said) == bool(message)
    assert len(message) < 320, "whole"


def test_of_a_teachers_systems_no_structures_are_counted() -> None:
    run = Run(distill_resource())
    run.answer = starting_with(10_000)
    run.until(0, StageKind.EXPLORE)
    assert run.status.cautions == {}


def without_virials(spec: StageSpec, reused: bool = False) -> StageResult:
    """What a worker says whose engine gives no stress."""
    result = good_result(spec, reused)
    trained = result.found(TrainOutcome)
    if trained is None:
        return result
    known = {name: found for name, found in trained.errors if found is not None}
    return with_errors(
        result, **{name: found.model_copy(update={"virial_rmse_per_atom": None}) for name, found in known.items()}
    )


def of_a_molecule(spec: StageSpec, reused: bool = False) -> StageResult:
    """What a worker says of a job in which nothing has a pressure."""
    result = without_virials(spec, reused)
    return with_found(result, without_pressure=["diamond"]) if spec.stage is StageKind.PREPARE else result


@pytest.mark.parametrize(
    ("ensemble", "answer", "remarked"),
    [
        ("NPT", without_virials, True),
        ("NVT", without_virials, False),
        ("NPT", of_a_molecule, False),
        ("NPT", good_result, False),
    ],
)
def test_a_pressure_that_no_label_tells_of_is_remarked(ensemble: str, answer: Answer, remarked: bool) -> None:
    run = Run(resource(exploration={"stages": [{"temperaturesKelvin": [300, 900], "ensemble": ensemble}]}))
    run.answer = answer
    run.until(0, StageKind.TRAIN)
    assert run.status.cautions == {}, "no label is known yet"
    run.until(1, StageKind.EXPLORE)
    assert list(run.status.cautions) == (["LabelsWithoutVirial"] if remarked else [])
    assert all(len(words) < 320 for words in run.status.cautions.values()), "whole"


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        ({"ensemble": "NVT", "steps": 20, "timestepFs": 1}, ("20 fs long", "300 fs", "Give it 300 steps")),
        ({"ensemble": "NVT", "steps": 300, "timestepFs": 1}, ()),
        ({"ensemble": "NPT", "steps": 24, "timestepFs": 3}, ("72 fs long", "1000 fs", "Give it 334 steps")),
        ({"ensemble": "NPT", "steps": 500}, ()),
        ({"ensemble": "NVE", "steps": 20}, ()),
    ],
    ids=["NVT", "NVT long enough", "NPT", "NPT long enough", "NVE"],
)
def test_md_too_short_for_its_thermostat_or_barostat_is_told(stage: dict[str, Any], said: tuple[str, ...]) -> None:
    stages = [{"temperaturesKelvin": [300]}, {"temperaturesKelvin": [900], "sampleEvery": 2, **stage}]
    for made in (resource, distill_resource):
        run = Run(made(exploration={"stages": stages}))
        run.until(0, StageKind.SELECT)
        words = run.status.cautions.get(CautionReason.SHORT_MD, "")
        assert bool(words) == bool(said) and all(each in words for each in said)
        assert "spec.exploration.stages[1]" in words or not said


def test_of_what_each_system_runs_too_short_md_is_told_by_its_place_in_the_spec() -> None:
    systems = [GLASSES | {"name": name} for name in ("bulk", "melt")]
    stages: list[dict[str, Any]] = [
        {"systems": ["melt"], "temperaturesKelvin": [3000]},
        {"systems": ["bulk"], "temperaturesKelvin": [300], "steps": 100},
    ]
    for made in (resource, distill_resource):
        run = Run(made(systems=systems, exploration={"stages": stages}))
        run.until(0, StageKind.SELECT)
        assert "spec.exploration.stages[1] is 200 fs long" in run.status.cautions[CautionReason.SHORT_MD]


def test_structures_are_held_against_the_trajectories_of_what_each_system_runs() -> None:
    systems = [GLASSES | {"name": name} for name in ("bulk", "melt")]
    stages = [THREE_TEMPERATURES["stages"][0] | {"systems": [name]} for name in ("bulk", "melt")]
    run = Run(resource(systems=systems, exploration={"stages": stages}, budget={"maxIterations": 2}))
    run.answer = starting_with(13)
    run.until(0, StageKind.EXPLORE)
    assert "at most 12 of them are starts of MD: 6 in each of 2" in run.status.cautions["StructuresNotExplored"]


@pytest.mark.parametrize(("answer", "remarked"), [(of_a_molecule, False), (good_result, True)])
def test_md_that_has_no_pressure_need_not_be_long_enough_for_a_barostat(answer: Answer, remarked: bool) -> None:
    for made in (resource, distill_resource):
        run = Run(made(exploration={"stages": [{"temperaturesKelvin": [300], "steps": 200}]}))
        run.answer = answer
        run.until(0, StageKind.SELECT)
        assert (CautionReason.SHORT_MD in run.status.cautions) is remarked

"""The noise of labels: what is asked of the stages, and what is said of limits below it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from pfd_operator.api.conditions import ConditionType, Phase
from pfd_operator.api.status import FineTuneJobStatus
from pfd_operator.contract.labeling import Labeling
from pfd_operator.contract.result import StageResult
from pfd_operator.contract.stage import LabelParams, SelectParams, StageKind, StageSpec
from pfd_operator.kube.resources import in_words
from pfd_operator.plan.spec_digest import spec_digest
from tests.stage_results import errors
from tests.unit.operator.plan.plan_answers import good_result, with_errors
from tests.unit.operator.plan.plan_samples import NEVER, Run, condition, created, resource

ABINIT = {"cutoffEv": 250, "kSpacing": 0.8, "pseudopotentials": {"Si": "Si.psp8"}}
CHECKED: dict[str, Any] = {
    "engine": {"xtb": {}},
    "framesPerPod": 2,
    "noiseCheck": {"frames": 2, "settings": {"accuracy": 0.01}},
}

FEWER = {"farthest": 0}


def noisy(force: float) -> Any:
    """A worker that finds this noise, in eV/Å."""

    def answer(spec: StageSpec, reused: bool = False) -> StageResult:
        result = good_result(spec, reused)
        if spec.stage is StageKind.TRAIN and spec.iteration == 0:
            return with_errors(result, label_noise=errors(force))
        return result

    return answer


def test_the_tighter_engine_is_that_of_the_spec_with_other_settings() -> None:
    check = {"settings": {"cutoffEv": 400, "kSpacing": 0.5}}
    tighter = Labeling.model_validate({"engine": {"abinit": ABINIT}, "noiseCheck": check}).tighter()
    assert tighter is not None
    assert tighter.abinit is not None
    assert (tighter.abinit.cutoff_ev, tighter.abinit.k_spacing) == (400, 0.5)
    assert tighter.abinit.pseudopotentials == {"Si": "Si.psp8"}
    assert Labeling.model_validate({"engine": {"xtb": {}}}).tighter() is None


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"cutoff": 400}, ".cutoff: Extra inputs are not permitted"),
        ({"cutoffEv": -1, "kSpacing": 0}, ".cutoffEv: Input should be greater than 0"),
        ({"cutoffEv": -1, "kSpacing": 0}, ".kSpacing: Input should be greater than 0"),
        ({"smearing": "cold"}, ".smearing: Input should be 'fixed', 'fermi-dirac' or 'gaussian'"),
        ({"cutoffEv": 250}, ": nothing in them differs from the engine's own settings"),
        ({"cutoffEv": 400, "pseudopotentials": {}}, ": pseudopotentials would be another method, not tighter settings"),
    ],
)
def test_settings_that_are_no_tighter_ones_are_refused_where_they_are_written(
    settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        Labeling.model_validate({"engine": {"abinit": ABINIT}, "noiseCheck": {"settings": settings}})
    assert f"spec.noiseCheck.settings{words}" in in_words(refused.value).split("; ")


@pytest.mark.parametrize(("check", "later"), [({}, (1, True)), ({"farthest": 3}, (3, True)), (FEWER, (None, False))])
def test_the_holdout_is_asked_for_it_and_later_the_newest_frames(
    check: dict[str, Any], later: tuple[int | None, bool]
) -> None:
    run = Run(resource(labeling=CHECKED | {"noiseCheck": CHECKED["noiseCheck"] | check}))
    asked = []
    for iteration in (0, 1):
        select = run.until(iteration, StageKind.SELECT).spec.params
        label = run.until(iteration, StageKind.LABEL).spec.params
        assert isinstance(select, SelectParams)
        assert isinstance(label, LabelParams)
        asked.append((select.noise_frames, label.tighter is not None))
    assert asked == [(2, True), later]


@pytest.mark.parametrize(
    ("left", "frames", "twice"), [(1, 1, None), (2, 1, 1), (3, 2, 1), (4, 2, 2), (5, 3, 2), (9, 3, 2)]
)
def test_frames_and_what_is_labelled_twice_of_them_are_no_more_than_the_labels_left(
    left: int, frames: int, twice: int | None
) -> None:
    check = {"noiseCheck": CHECKED["noiseCheck"] | {"farthest": 2}}
    run = Run(resource(labeling=CHECKED | check, convergence=NEVER, budget={"maxIterations": 9, "maxLabels": 9 + left}))
    params = run.until(2, StageKind.SELECT).spec.params
    assert isinstance(params, SelectParams)
    assert (params.frames, params.noise_frames) == (frames, twice)


def test_a_job_of_before_goes_on_with_it() -> None:
    """Its spec is the same, and so are the stages of its hold-out: they are found."""
    given = resource(labeling=CHECKED)
    named = resource(labeling=CHECKED | {"noiseCheck": CHECKED["noiseCheck"] | {"farthest": 1}})
    assert spec_digest(given.spec) == spec_digest(named.spec)
    digests = []
    for check in ({}, FEWER):
        run = Run(resource(labeling=CHECKED | {"noiseCheck": CHECKED["noiseCheck"] | check}))
        run.until(1, StageKind.SELECT)
        digests.append([record.digest for record in run.status.stages])
    assert digests[0] == digests[1]


def test_stages_of_a_job_without_it_are_what_they_were() -> None:
    params = Run().until(0, StageKind.SELECT).spec.params
    assert "noiseFrames" not in params.to_json()


def test_its_labels_are_part_of_what_the_start_needs() -> None:
    run = Run(resource(labeling=CHECKED, budget={"maxLabels": 7}))
    run.step()
    message = condition(run.status, ConditionType.READY).message
    assert "the start alone needs 8" in message
    assert "2 of them once more (spec.labeling.noiseCheck)" in message
    run.edit(budget={"maxLabels": 8})
    assert created(run.step()).spec.stage is StageKind.PREPARE


def test_a_limit_below_the_noise_is_called_out_of_reach_until_it_is_raised() -> None:
    limits = {"forceRMSE": 0.03, "consecutive": 1}
    run = Run(resource(labeling=CHECKED, convergence=limits, budget={"maxIterations": 1}))
    run.answer = noisy(0.05)
    status = run.to_the_end()
    words = (
        "Out of reach, by the noise of the labels themselves on 4 hold-out frames: force RMSE 0.03 eV/Å (noise 0.05)"
    )
    caution = condition(status, ConditionType.CAUTION)
    assert (caution.status, caution.reason) == ("True", "LimitBelowLabelNoise")
    assert words in caution.message
    assert all(words in record.message for record in status.iterations)
    assert status.phase is Phase.MAX_ITERATIONS
    assert words in condition(status, ConditionType.READY).message
    assert isinstance(status, FineTuneJobStatus)
    assert status.label_noise is not None
    assert status.label_noise.force_rmse == "0.05"
    run.edit(
        convergence={"forceRMSE": 0.2, "consecutive": 1},
        budget={"maxIterations": 2},
        restart={"fromIteration": 1, "id": "coarser"},
    )
    status = run.to_the_end()
    assert status.phase is Phase.CONVERGED
    assert condition(status, ConditionType.CAUTION).status == "False"


def test_a_limit_above_the_noise_is_no_matter_of_caution() -> None:
    run = Run(resource(labeling=CHECKED))
    run.answer = noisy(0.05)
    status = run.to_the_end()
    assert status.phase is Phase.CONVERGED
    assert not [item for item in status.conditions if item.type == ConditionType.CAUTION]


def test_noise_of_an_energy_that_is_not_known_puts_no_limit_out_of_reach() -> None:
    def answer(spec: StageSpec, reused: bool = False) -> StageResult:
        result = good_result(spec, reused)
        if spec.stage is StageKind.TRAIN and spec.iteration == 0:
            unknown = errors(0.05).model_copy(update={"energy_rmse_per_atom": None})
            return with_errors(result, label_noise=unknown)
        return result

    run = Run(resource(labeling=CHECKED, convergence={"forceRMSE": 0.08, "energyRMSEPerAtom": 1e-6}))
    run.answer = answer
    run.until(1, StageKind.EXPLORE)
    assert isinstance(run.status, FineTuneJobStatus)
    assert run.status.label_noise is not None
    assert (run.status.label_noise.force_rmse, run.status.label_noise.energy_rmse_per_atom) == ("0.05", None)
    assert not [item for item in run.status.conditions if item.type == ConditionType.CAUTION]

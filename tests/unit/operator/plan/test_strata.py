"""What is explored: strata of systems with a pressure and without, and trajectories enough for the hold-out."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pfd_operator.api.conditions import ConditionType, Phase
from pfd_operator.api.status import FineTuneJobStatus
from pfd_operator.contract.result import StageResult
from pfd_operator.contract.stage import ExploreParams, StageKind, StageSpec
from pfd_operator.contract.strata import joined_names
from pfd_operator.contract.tasks import md_tasks
from pfd_operator.plan.rounds import explored
from pfd_operator.plan.strata import HOLDOUT_TRAJECTORIES, number_of_strata, strata_left_out, strata_of
from tests.unit.operator.plan.plan_answers import talkative_result, with_found
from tests.unit.operator.plan.plan_samples import Run, condition, distill_resource, resource

SQUEEZED = {"stages": [{"temperaturesKelvin": [300], "pressuresBar": [1, 10000, 20000], "steps": 20}], "pods": 9}


def system(name: str, **perturb: Any) -> dict[str, Any]:
    return {"name": name, "structures": {"uri": f"s3://pfd/{name}.extxyz"}, "perturb": perturb}


def answer(spec: StageSpec, reused: bool = False) -> StageResult:
    """What a worker says that finds a molecule, and measures it at no pressure."""
    result = talkative_result(spec, reused)
    if spec.stage is StageKind.PREPARE:
        return with_found(result, without_pressure=["molecule"])
    if spec.stage is not StageKind.TRAIN:
        return result
    strata = ["bulk/300K/1bar", "bulk/300K/10000bar", "bulk/300K/20000bar", "molecule/300K"]
    return with_found(result, holdout_strata=strata)


@pytest.mark.parametrize("distills", [False, True])
def test_what_prepare_finds_to_have_no_pressure_is_explored_without(distills: bool) -> None:
    changes: dict[str, Any] = {"systems": [system("bulk"), system("molecule")], "exploration": SQUEEZED}
    run = Run(distill_resource(**changes) if distills else resource(**changes))
    run.answer = answer
    for iteration in (0, 1):
        planned = run.until(iteration, StageKind.EXPLORE)
        assert isinstance(planned.spec.params, ExploreParams)
        assert (planned.spec.params.without_pressure, planned.completions) == (["molecule"], 4)


def test_jobs_in_which_all_have_a_pressure_are_named_as_ever() -> None:
    run = Run()
    params = run.until(0, StageKind.EXPLORE).spec.params
    assert "withoutPressure" not in params.to_json()


def test_its_only_stratum_at_a_temperature_is_enough_of_a_hold_out() -> None:
    limits = {"forceRMSE": 0.08, "everyStratum": True}
    run = Run(resource(systems=[system("bulk"), system("molecule")], exploration=SQUEEZED, convergence=limits,
                       holdout={"frames": 6}))  # fmt: skip
    run.answer = answer
    assert run.to_the_end().phase is Phase.CONVERGED


@pytest.mark.parametrize(
    ("slab", "changes", "words"),
    [
        (True, {"convergence": {"forceRMSE": 0.08, "everyStratum": True}, "holdout": {"frames": 4}}, ""),
        (False, {"convergence": {"forceRMSE": 0.08, "everyStratum": True}, "holdout": {"frames": 4}}, "each of 6"),
        (True, {"holdout": {"frames": 9}}, "together give 8"),
        (False, {"holdout": {"frames": 9}}, ""),
    ],
)
def test_a_slab_that_is_cut_counts_once_before_anything_runs(slab: bool, changes: dict[str, Any], words: str) -> None:
    cut = {"slab": {"miller": [1, 0, 0]}} if slab else {}
    run = Run(resource(systems=[system("bulk"), system("surface", **cut)], exploration=SQUEEZED, **changes))
    run.step()
    assert (run.status.phase is Phase.PENDING) is bool(words)
    if words:
        assert words in condition(run.status, ConditionType.READY).message


GRID = [
    {"temperaturesKelvin": list(range(300, 1100, 100)), "pressuresBar": list(range(0, 80000, 10000)), "steps": 20},
]
"""64 strata, whose names one by one would not fit into a message with all errors."""


@pytest.mark.parametrize(
    ("instead", "phase"),
    [("bulk/1000K/70000bar", Phase.CONVERGED), ("bulk/1100K/1bar", Phase.MAX_ITERATIONS)],
    ids=["all", "another instead of one"],
)
def test_the_one_stratum_of_many_that_the_hold_out_lacks_is_missed(instead: str, phase: Phase) -> None:
    limits, budget = {"forceRMSE": 0.08, "everyStratum": True}, {"maxIterations": 4, "maxLabels": 400}
    given = {"systems": [system("bulk")], "exploration": {"stages": GRID, "pods": 9}, "holdout": {"frames": 64}}
    run = Run(resource(**given, convergence=limits, budget=budget))
    held_out = joined_names([*strata_of(run.resource.spec, ())[:-1], instead])

    def told(spec: StageSpec, reused: bool = False) -> StageResult:
        result = talkative_result(spec, reused)
        if spec.stage is StageKind.TRAIN:
            result = with_found(result, holdout_strata=held_out)
        back = StageResult.from_termination_message(result.to_termination_message())
        assert back is not None
        return back

    run.answer = told
    assert run.to_the_end().phase is phase
    words = "the hold-out has no frame in bulk/1000K/70000bar, so the error there is not known"
    assert (words in run.status.iterations[-1].message) is (phase is Phase.MAX_ITERATIONS)


APART = {
    "systems": [system("bulk"), system("melt")],
    "exploration": {
        "stages": [
            {
                "systems": ["melt"],
                "ensemble": "NVT",
                "temperaturesKelvin": [2000, 3000],
                "steps": 20,
                "sampleEvery": 20,
            },
            {"systems": ["bulk"], "temperaturesKelvin": [300], "pressuresBar": [1, 10000], "replicas": 2, "steps": 20},
        ],
        "pods": 9,
    },
}
"""A melt is not run at what a crystal is, nor the other way round: 2 + 2 strata, 4 + 2 trajectories."""


@pytest.mark.parametrize("distills", [False, True])
def test_each_system_is_explored_at_conditions_of_its_own(distills: bool) -> None:
    run = Run(distill_resource(**APART) if distills else resource(**APART))
    assert run.until(1, StageKind.EXPLORE).completions == 6


def test_strata_are_those_that_are_run() -> None:
    names = ["bulk/300K/1bar", "bulk/300K/10000bar", "melt/2000K", "melt/3000K"]
    spec = resource(**APART).spec
    assert strata_of(spec, ()) == names and number_of_strata(spec) == 4
    assert strata_left_out(strata_of(spec, ()), names) == ""
    limits = {"forceRMSE": 0.08, "everyStratum": True}
    run = Run(resource(**APART, convergence=limits, holdout={"frames": 4}))
    run.step()
    assert run.status.phase is Phase.RUNNING, "a frame for each is enough"


def test_frames_of_a_hold_out_are_counted_by_what_each_system_runs() -> None:
    # of the melt 2 × 2 × 1, of the crystal 2 × 4 × 1: each trajectory twice, as 6 are fewer than 8
    run = Run(resource(**APART, holdout={"frames": 13}))
    run.step()
    assert "together give 12" in condition(run.status, ConditionType.READY).message


@given(
    temperatures=st.integers(1, 12),
    replicas=st.integers(1, 20),
    systems=st.integers(1, 4),
    molten=st.integers(0, 4),
    frames=st.integers(4, 40),
)
def test_a_hold_out_is_of_as_many_trajectories_as_it_has_frames_or_of_eight(
    temperatures, replicas, systems, molten, frames
):
    names = [f"s{number}" for number in range(systems)]
    stages: list[dict[str, Any]] = [
        {"temperaturesKelvin": list(range(300, 300 + temperatures)), "replicas": replicas},
        {"temperaturesKelvin": [3000], "replicas": replicas, "systems": names[:molten]},
    ]
    exploration = {"stages": stages if molten else stages[:1]}
    given = {"systems": [system(name) for name in names], "budget": {"maxLabels": 999}}
    spec = resource(**given, exploration=exploration, holdout={"frames": frames}).spec
    held_out, training = (
        md_tasks(names, explored(spec, FineTuneJobStatus(), names, n, spec.exploration).exploration, 1) for n in (0, 1)
    )
    wanted, there = min(frames, HOLDOUT_TRAJECTORIES), (temperatures * systems + min(molten, systems)) * replicas
    assert len(training) == there
    assert len(held_out) >= max(there, wanted)
    # as many in each stratum, and no more than that takes
    assert len(set(Counter(task.stratum for task in held_out).values())) == 1
    assert len(held_out) == there or len(held_out) - there < wanted

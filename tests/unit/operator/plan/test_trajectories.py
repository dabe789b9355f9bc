"""Trajectories are counted without being made, and are bounded: planning one job must not stop all the others."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from pydantic import ValidationError

from pfd_operator.api.distill import DistillJobSpec
from pfd_operator.api.finetune import FineTuneJobSpec
from pfd_operator.contract.exploration import MOST_TRAJECTORIES, Exploration
from pfd_operator.contract.stage import StageKind
from pfd_operator.contract.tasks import candidates_of_system, md_tasks, strata_of_system, trajectories_of
from pfd_operator.plan.strata import number_of_strata, strata_of
from pfd_operator.plan.types import Resource
from tests.job_specs import DISTILL_SPEC, SPEC
from tests.unit.operator.plan.plan_samples import Run, resource

TEMPERATURES = list(range(1, 26))
LARGEST = [{"temperaturesKelvin": TEMPERATURES, "pressuresBar": list(range(25)), "replicas": 40}] * 2
"""With two systems as many trajectories as there may be."""
SYSTEMS = [{"name": name, "structures": {"uri": f"s3://pfd/{name}.extxyz"}} for name in ("diamond", "tin")]
ALL_STRATA = {"forceRMSE": 0.1, "everyStratum": True}
STAGES: list[list[dict[str, Any]]] = [
    [{"temperaturesKelvin": [300, 600], "pressuresBar": [1, 1e4], "replicas": 3, "steps": 25}],
    [
        {"ensemble": "NVT", "temperaturesKelvin": [300], "pressuresBar": [1, 2], "steps": 100, "sampleEvery": 30},
        {"temperaturesKelvin": [300, 900], "pressuresBar": [1]},
        {"temperaturesKelvin": [900], "pressuresBar": [1, 5], "replicas": 2},
    ],
]


@pytest.mark.parametrize("stages", STAGES)
def test_counts_are_those_of_the_list(stages: list[dict[str, Any]]) -> None:
    exploration = Exploration.model_validate({"stages": stages})
    tasks = md_tasks(["diamond"], exploration, 0)
    assert trajectories_of(["diamond"], exploration) == len(tasks)
    sampled = [(step, task) for task in tasks for step in range(task.sample_every, task.steps + 1, task.sample_every)]
    assert candidates_of_system(exploration.stages) == sum(step > task.equilibration_steps for step, task in sampled)
    assert strata_of_system("diamond", exploration.stages) == list(dict.fromkeys(task.stratum for task in tasks))
    spec = resource(systems=SYSTEMS, exploration={"stages": stages}).spec
    assert len(strata_of(spec, ())) == number_of_strata(spec) == 2 * len(strata_of_system("tin", exploration.stages))


@pytest.mark.parametrize(
    ("stage", "steps"),
    [
        ({"steps": 1000, "timestepFs": 2}, 150),
        ({"steps": 150, "timestepFs": 2}, 75),
        ({"steps": 1000, "timestepFs": 2, "ensemble": "NVE"}, 0),
    ],
    ids=["of the thermostat", "half", "no thermostat"],
)
def test_md_is_no_candidate_before_it_has_its_temperature(stage: dict[str, Any], steps: int) -> None:
    exploration = Exploration.model_validate({"stages": [{"temperaturesKelvin": [300], **stage}]})
    (task,) = md_tasks(["diamond"], exploration, 0)
    assert task.equilibration_steps == steps


@pytest.mark.parametrize(("steps", "every"), [(1, 1), (10, 10), (20, 10), (19, 10), (21, 7)])
def test_however_short_md_is_it_has_a_candidate(steps: int, every: int) -> None:
    stage = {"temperaturesKelvin": [300], "steps": steps, "sampleEvery": every}
    assert candidates_of_system(Exploration.model_validate({"stages": [stage]}).stages) >= 1


def looked_at(owner: Resource) -> int:
    """Return the most bytes that a look at a job takes, up to its hold-out's MD."""
    Run(resource()).until(0, StageKind.EXPLORE)  # what is imported and kept once
    tracemalloc.start()
    try:
        run = Run(owner)
        run.step()
        planned = run.until(0, StageKind.EXPLORE)
        assert planned.completions == 1000
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_the_largest_exploration_is_planned_in_little_memory() -> None:
    changes = {"systems": SYSTEMS, "exploration": {"stages": LARGEST, "pods": 1000}, "convergence": ALL_STRATA}
    largest = resource(**changes, holdout={"frames": 2000}, budget={"maxLabels": 3000})
    assert trajectories_of(largest.spec.system_names, largest.spec.exploration) == MOST_TRAJECTORIES
    # a list of its trajectories alone would be over 100 MB
    assert looked_at(largest) < 2_000_000


@pytest.mark.parametrize("systems", [SYSTEMS, SYSTEMS[:1] * 3])
def test_more_trajectories_are_refused(systems: list[dict[str, Any]]) -> None:
    named = [system | {"name": f"{system['name']}-{number}"} for number, system in enumerate(systems)]
    one_more = [LARGEST[0], LARGEST[1] | {"replicas": 41}]
    FineTuneJobSpec.model_validate(SPEC | {"systems": named[:1], "exploration": {"stages": one_more}})
    with pytest.raises(ValidationError, match="more than 100000 trajectories in an iteration"):
        FineTuneJobSpec.model_validate(SPEC | {"systems": named, "exploration": {"stages": one_more}})
    one_more[1]["systems"] = [named[0]["name"]]
    if len(named) == 2:
        FineTuneJobSpec.model_validate(SPEC | {"systems": named, "exploration": {"stages": one_more}})


def test_those_of_systems_that_a_teacher_has_are_counted_where_they_are_named() -> None:
    stages = [LARGEST[0] | {"systems": ["diamond"]}, LARGEST[1] | {"systems": ["diamond", "tin"], "replicas": 60}]
    DistillJobSpec.model_validate(DISTILL_SPEC | {"exploration": {"stages": stages}})
    stages[0]["replicas"] = 41
    with pytest.raises(ValidationError, match="more than 100000 trajectories in an iteration"):
        DistillJobSpec.model_validate(DISTILL_SPEC | {"exploration": {"stages": stages}})

"""The list of MD trajectories: what is run of which system, at which conditions."""

from typing import Any

from pfd_operator.contract.exploration import Exploration
from pfd_operator.contract.strata import temperature_of
from pfd_operator.contract.tasks import MdTask, md_tasks

STAGES = [
    {"temperaturesKelvin": [300, 900], "pressuresBar": [1, 20000], "replicas": 2},
    {"ensemble": "NVE", "temperaturesKelvin": [50]},
]
EXPLORATION = Exploration.model_validate({"stages": STAGES})


def listed(*without_pressure: str) -> dict[str, list[MdTask]]:
    tasks = md_tasks(["bulk", "slab"], EXPLORATION, 7, without_pressure)
    return {system: [task for task in tasks if task.system == system] for system in ("bulk", "slab")}


def test_what_has_no_pressure_is_run_once_for_each_temperature() -> None:
    found = listed("slab")
    assert found["bulk"] == listed()["bulk"]
    assert len(found["bulk"]) == 2 * 2 * 2 + 1
    conditions = [(str(task.ensemble), task.temperature_kelvin, task.pressure_bar) for task in found["slab"]]
    assert conditions == [("NVT", 300, None)] * 2 + [("NVT", 900, None)] * 2 + [("NVE", 50, None)]


def test_its_stratum_has_none_either() -> None:
    strata = [task.stratum for task in listed("slab")["slab"]]
    assert strata == ["slab/300K"] * 2 + ["slab/900K"] * 2 + ["slab/50K"]
    assert [temperature_of(stratum) for stratum in strata[::2]] == [300, 900, 50]
    assert listed()["slab"][0].stratum == "slab/300K/1bar"


def test_seeds_differ_whatever_a_system_lacks() -> None:
    tasks = [task for mine in listed("slab").values() for task in mine]
    assert len({task.seed for task in tasks}) == len(tasks)


def test_a_stage_is_run_of_the_systems_that_it_names() -> None:
    stages: list[dict[str, Any]] = [
        {"systems": ["melt"], "ensemble": "NVT", "temperaturesKelvin": [3000]},
        {"temperaturesKelvin": [300], "replicas": 2},
        {"systems": ["slab", "bulk"], "temperaturesKelvin": [600], "pressuresBar": [1, 5]},
    ]
    tasks = md_tasks(["bulk", "melt", "slab"], Exploration.model_validate({"stages": stages}), 7, ["slab"])
    found: dict[str, list[tuple[int, str]]] = {}
    for task in tasks:
        found.setdefault(task.system, []).append((task.stage, task.stratum.partition("/")[2]))
    assert found == {
        "bulk": [(1, "300K/1bar"), (1, "300K/1bar"), (2, "600K/1bar"), (2, "600K/5bar")],
        "melt": [(0, "3000K"), (1, "300K/1bar"), (1, "300K/1bar")],
        "slab": [(1, "300K"), (1, "300K"), (2, "600K")],
    }, "stages are counted as in the spec"
    every = [{name: value for name, value in stage.items() if name != "systems"} for stage in stages]
    theirs = md_tasks(["bulk", "melt", "slab"], Exploration.model_validate({"stages": every}), 7, ["slab"])
    assert all(task in theirs for task in tasks), "and are run as if all systems ran them"

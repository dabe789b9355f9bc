"""The list of MD trajectories: what is run of which system, at which conditions."""

from pfd_operator.contract.exploration import Exploration
from pfd_operator.contract.tasks import MdTask, md_tasks, temperature_of

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

"""The MD trajectories of an explore stage: one list for the planner that counts them and the pod that runs them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeVar

from .base import Strict
from .digest import seed_of
from .exploration import Barostat, Ensemble, Exploration

_Task = TypeVar("_Task")
"""With or without what a pod notes of it."""


class MdTask(Strict):
    """One trajectory: system, conditions and seed."""

    system: str
    stage: int
    ensemble: Ensemble
    temperature_kelvin: float
    pressure_bar: float | None
    barostat: Barostat = Barostat.ISOTROPIC
    timestep_fs: float
    steps: int
    sample_every: int
    replica: int
    seed: int

    @property
    def stratum(self) -> str:
        """Name of the (system, temperature, pressure) group whose error is reported separately."""
        pressure = "" if self.pressure_bar is None else f"/{self.pressure_bar:g}bar"
        return f"{self.system}/{self.temperature_kelvin:g}K{pressure}"


def temperature_of(stratum: str) -> float | None:
    """Return the temperature that a stratum's name says, in K; None if its frames are of no MD."""
    found = re.fullmatch(r"[^/]+/([0-9.e+]+)K(/.*)?", stratum)
    return None if found is None else float(found[1])


def md_tasks(systems: Sequence[str], exploration: Exploration, seed: int) -> list[MdTask]:
    """List every (system, stage, temperature, pressure, replica), each with a seed of its own."""
    tasks: list[MdTask] = []
    for system in systems:
        for number, stage in enumerate(exploration.stages):
            pressures: list[float | None] = [*stage.pressures_bar] if stage.ensemble is Ensemble.NPT else [None]
            for temperature in stage.temperatures_kelvin:
                for pressure in pressures:
                    for replica in range(stage.replicas):
                        tasks.append(
                            MdTask(
                                system=system,
                                stage=number,
                                ensemble=stage.ensemble,
                                temperature_kelvin=temperature,
                                pressure_bar=pressure,
                                barostat=stage.barostat,
                                timestep_fs=stage.timestep_fs,
                                steps=stage.steps,
                                sample_every=stage.sample_every,
                                replica=replica,
                                seed=seed_of(seed, system, number, str(temperature), str(pressure), replica),
                            )
                        )
    return tasks


def candidates_at_most(tasks: Sequence[MdTask]) -> int:
    """Return how many candidate frames these trajectories give if none explodes."""
    return sum(task.steps // task.sample_every for task in tasks)


def tasks_of_index(tasks: Sequence[_Task], index: int, completions: int) -> list[_Task]:
    """Deal the tasks round robin, so that long conditions spread over the pods."""
    return list(tasks[index::completions])

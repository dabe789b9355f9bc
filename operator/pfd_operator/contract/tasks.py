"""The MD trajectories of an explore stage: how many there are, for the planner, and their list, for the pod."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TypeVar

from .base import Strict
from .digest import seed_of
from .exploration import Barostat, Ensemble, Exploration, ExplorationStage, candidate_frames
from .strata import stratum_of

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
    equilibration_steps: int = 0
    """Frames until then are no candidates, unless the trajectory explodes."""
    replica: int
    seed: int

    @property
    def candidates(self) -> int:
        """Frames that it gives if it does not explode."""
        return candidate_frames(self.steps, self.sample_every, self.equilibration_steps)

    @property
    def stratum(self) -> str:
        """Name of the (system, temperature, pressure if there is one) group whose error is reported separately."""
        return stratum_of(self.system, self.temperature_kelvin, self.pressure_bar)


def stages_of_systems(
    systems: Iterable[str], exploration: Exploration, without_pressure: Collection[str] = ()
) -> dict[str, dict[int, ExplorationStage]]:
    """Return what is run of each system: stages by their place in the spec.

    Parameters
    ----------
    without_pressure
        Systems that keep their cell, and would do the very same at all pressures.
    """
    at_constant_volume = [
        stage.model_copy(update={"ensemble": Ensemble.NVT}) if stage.ensemble is Ensemble.NPT else stage
        for stage in exploration.stages
    ]
    return {
        system: {
            number: stage
            for number, stage in enumerate(at_constant_volume if system in without_pressure else exploration.stages)
            if stage.runs(system)
        }
        for system in systems
    }


def pressures_of(stage: ExplorationStage) -> Sequence[float | None]:
    """Return the pressures at which a stage runs a system; None where the cell is kept."""
    return stage.pressures_bar if stage.ensemble is Ensemble.NPT else (None,)


def strata_of_system(system: str, stages: Iterable[ExplorationStage]) -> list[str]:
    """Return the strata of one system, each once."""
    conditions = (
        (temperature, pressure)
        for stage in stages
        for temperature in stage.temperatures_kelvin
        for pressure in pressures_of(stage)
    )
    return list(dict.fromkeys(stratum_of(system, *condition) for condition in conditions))


def candidates_of_system(stages: Iterable[ExplorationStage]) -> int:
    """Return how many candidate frames one system gives in an iteration if no trajectory explodes."""
    return sum(_trajectories(stage) * stage.candidates for stage in stages)


def trajectories_of(systems: Iterable[str], exploration: Exploration, without_pressure: Collection[str] = ()) -> int:
    """Return how many trajectories all systems have in an iteration."""
    stages = stages_of_systems(systems, exploration, without_pressure)
    return sum(_trajectories(stage) for mine in stages.values() for stage in mine.values())


def _trajectories(stage: ExplorationStage) -> int:
    """Return how many trajectories each system has in a stage."""
    return len(stage.temperatures_kelvin) * len(pressures_of(stage)) * stage.replicas


def md_tasks(
    systems: Sequence[str], exploration: Exploration, seed: int, without_pressure: Collection[str] = ()
) -> list[MdTask]:
    """List every (system, stage, temperature, pressure, replica), each with a seed of its own."""
    tasks: list[MdTask] = []
    for system, mine in stages_of_systems(systems, exploration, without_pressure).items():
        for number, stage in mine.items():
            for temperature in stage.temperatures_kelvin:
                for pressure in pressures_of(stage):
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
                                equilibration_steps=stage.equilibration_steps,
                                replica=replica,
                                seed=seed_of(seed, system, number, str(temperature), str(pressure), replica),
                            )
                        )
    return tasks


def tasks_of_index(tasks: Sequence[_Task], index: int, completions: int) -> list[_Task]:
    """Deal the tasks round robin, so that long conditions spread over the pods."""
    return list(tasks[index::completions])

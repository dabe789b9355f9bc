"""MD conditions of acceptance and report (energy drift, AIMD run again), as tasks of the MD engine."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from ase import Atoms

from pfd_operator.contract.exploration import Barostat, Ensemble, Exploration, ExplorationStage
from pfd_operator.contract.result import Caution, CautionReason
from pfd_operator.contract.tasks import MdTask, pressures_of, stages_of_systems
from pfd_worker.md.cells import keeps_its_cell

FS_PER_PS = 1000.0
LONGEST_TIMESTEP_OF_HYDROGEN_FS = 1.0


@dataclass(frozen=True)
class Conditions:
    """What MD is run at."""

    ensemble: Ensemble
    temperature_kelvin: float
    timestep_fs: float
    pressure_bar: float | None = None
    """None at constant volume."""
    barostat: Barostat | None = None
    """None at constant volume."""

    def of(self, start: Atoms) -> Conditions:
        """Return what a start is run at: constant volume where `keeps_its_cell` says so."""
        if not keeps_its_cell(start):
            return self
        return replace(self, ensemble=Ensemble.NVT, pressure_bar=None, barostat=None)

    def task(self, picoseconds: float, seed: int, sample_fs: float = 10.0) -> MdTask:
        """Return the task of one trajectory, at least one step long.

        Parameters
        ----------
        picoseconds
            Length; whole steps are no shorter than it.
        seed
            Of velocities and thermostat.
        sample_fs
            Time between samples, rounded to whole steps.
        """
        return MdTask(
            system="acceptance",
            stage=0,
            ensemble=self.ensemble,
            temperature_kelvin=self.temperature_kelvin,
            pressure_bar=self.pressure_bar,
            barostat=self.barostat or Barostat.ISOTROPIC,
            timestep_fs=self.timestep_fs,
            # a length that is a whole number of steps stays one, whatever its last digit
            steps=max(1, math.ceil(picoseconds * FS_PER_PS / self.timestep_fs - 1e-9)),
            sample_every=max(1, round(sample_fs / self.timestep_fs)),
            replica=0,
            seed=seed,
        )


def long_timestep(exploration: Exploration, with_hydrogen: Iterable[str]) -> Caution | None:
    """Return a remark on steps too long for hydrogen: a bond of it vibrates in 9 to 11 fs, and asks for ten steps.

    Parameters
    ----------
    with_hydrogen
        Systems that have some.
    """
    stages = stages_of_systems(with_hydrogen, exploration)
    longest = max((stage.timestep_fs for mine in stages.values() for stage in mine.values()), default=0.0)
    if longest <= LONGEST_TIMESTEP_OF_HYDROGEN_FS:
        return None
    return Caution(
        reason=CautionReason.LONG_TIMESTEP,
        message=f"spec.exploration has steps of {longest:g} fs, and bonds of hydrogen vibrate in about 10: its MD is "
        "inaccurate, and may explode for that alone. Give timestepFs 0.5, or 1 at most",
    )


def first_conditions(stages: Iterable[ExplorationStage]) -> Conditions:
    """Return the first temperature and pressure of the first stage."""
    stage = next(iter(stages))
    return _of_stage(stage, stage.temperatures_kelvin[0], pressures_of(stage)[0])


def hottest_conditions(stages: Iterable[ExplorationStage]) -> Conditions:
    """Return the highest temperature of all stages, with ensemble and first pressure of the first stage that has it."""
    stage = max(stages, key=lambda each: max(each.temperatures_kelvin))
    return _of_stage(stage, max(stage.temperatures_kelvin), pressures_of(stage)[0])


def extreme_conditions(stages: Iterable[ExplorationStage]) -> list[Conditions]:
    """Return the hottest conditions, and the hottest of the lowest and of the highest pressure; each once."""
    every = [
        _of_stage(stage, max(stage.temperatures_kelvin), pressure)
        for stage in stages
        for pressure in pressures_of(stage)
    ]
    every.sort(key=lambda each: -each.temperature_kelvin)
    pressures = [each.pressure_bar for each in every if each.pressure_bar is not None]
    ends = (min(pressures), max(pressures)) if pressures else ()
    found = [next(each for each in every if each.pressure_bar == pressure) for pressure in ends]
    if not any(each.temperature_kelvin == every[0].temperature_kelvin for each in found):
        found.insert(0, every[0])
    return list(dict.fromkeys(found))


def _of_stage(stage: ExplorationStage, temperature_kelvin: float, pressure_bar: float | None) -> Conditions:
    conditions = Conditions(Ensemble.NVT, temperature_kelvin, stage.timestep_fs)
    if pressure_bar is not None:
        return replace(conditions, ensemble=Ensemble.NPT, pressure_bar=pressure_bar, barostat=stage.barostat)
    # NVE, too: without a thermostat half of the temperature goes into the potential energy, and constant energy is
    # measured by the drift
    return conditions

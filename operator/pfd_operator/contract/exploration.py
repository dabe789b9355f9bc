"""Molecular dynamics that finds new frames. Written by users, read by stage containers."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from .base import Name, Positive, Strict, invalid_at
from .text import first_of

MOST_TRAJECTORIES = 100_000
"""Of all systems together in one iteration."""
MOST_STEPS = 100_000_000
"""Of a trajectory."""
THERMOSTAT_FS = 100.0
BAROSTAT_FS = 1000.0
"""Time constants of MD's thermostat and barostat."""
HEATED_FS = 3 * THERMOSTAT_FS
"""Until then a start, whose potential energy is none of its temperature, has given up half of its kinetic energy, and
got 95 % of it back."""


class Ensemble(StrEnum):
    """Which quantities MD keeps constant."""

    NVE = "NVE"
    NVT = "NVT"
    NPT = "NPT"


class Barostat(StrEnum):
    """What of the cell NPT lets move."""

    ISOTROPIC = "Isotropic"
    """The volume: liquids have no shape to keep, and small cells shear themselves into nonsense."""
    FLEXIBLE = "Flexible"
    """Lengths and angles."""


def candidate_frames(steps: int, sample_every: int, equilibration_steps: int) -> int:
    """Return how many frames a trajectory gives after its equilibration."""
    return steps // sample_every - equilibration_steps // sample_every


class ExplorationStage(Strict):
    """MD conditions: each temperature at each pressure; what has no pressure is run at each temperature once."""

    systems: list[Name] | None = Field(
        None, min_length=1, max_length=64, description="Names of the systems that are run. Default: all."
    )
    ensemble: Ensemble = Field(Ensemble.NPT, description="NVE, NVT or NPT. Default NPT.")
    temperatures_kelvin: list[Annotated[float, Field(gt=0, le=20000)]] = Field(
        min_length=1, max_length=32, description="Temperatures, in K."
    )
    pressures_bar: list[Annotated[float, Field(ge=-100_000_000, le=100_000_000)]] = Field(
        [1.0], min_length=1, max_length=32, description="Pressures, in bar; used by NPT only. Default [1]."
    )
    barostat: Barostat = Field(
        Barostat.ISOTROPIC,
        description="What NPT moves: the volume, or with Flexible the whole cell. Default Isotropic.",
    )
    timestep_fs: Positive = Field(2.0, le=20, description="Timestep, in fs. Default 2.")
    steps: int = Field(1000, ge=1, le=MOST_STEPS, description="MD steps of each trajectory. Default 1000.")
    sample_every: int = Field(
        10,
        ge=1,
        description="Steps between candidate frames. Of NVT and NPT the first 300 fs, at most half of "
        "the steps, give none. Default 10.",
    )
    replicas: int = Field(
        1,
        ge=1,
        le=64,
        description="Trajectories for each condition, each from another start and seed. Default 1.",
    )

    def runs(self, system: str) -> bool:
        """Say whether a system is run at these conditions."""
        return self.systems is None or system in self.systems

    @property
    def femtoseconds(self) -> float:
        """Length of each trajectory."""
        return self.steps * self.timestep_fs

    @property
    def equilibration_steps(self) -> int:
        """Steps at the beginning of a trajectory whose frames are dropped; at most half of it, for MD that is short."""
        if self.ensemble is Ensemble.NVE:
            return 0
        return min(round(HEATED_FS / self.timestep_fs), self.steps // 2)

    @property
    def candidates(self) -> int:
        """Frames that each trajectory gives if it does not explode."""
        return candidate_frames(self.steps, self.sample_every, self.equilibration_steps)

    @model_validator(mode="after")
    def _gives_a_candidate(self) -> ExplorationStage:
        if self.sample_every > self.steps:
            words = f"with {self.steps} steps no trajectory gives a frame: sampleEvery must not be larger than steps"
            raise invalid_at(("sampleEvery",), words, self.sample_every)
        return self

    @field_validator("temperatures_kelvin", "pressures_bar")
    @classmethod
    def _differ(cls, values: list[float]) -> list[float]:
        if len(set(values)) != len(values):
            raise ValueError("the values must differ; to run one condition several times, set replicas")
        return values

    @field_validator("systems")
    @classmethod
    def _named_once(cls, names: list[str] | None) -> list[str] | None:
        if names is not None and len(set(names)) != len(names):
            raise ValueError("names must differ; to run one condition several times, set replicas")
        return names


class Exploration(Strict):
    """MD with the current model: where new configurations come from. Every iteration runs all the stages given."""

    stages: list[ExplorationStage] = Field(min_length=1, max_length=16, description="Sets of MD conditions.")
    pods: int = Field(1, ge=1, le=1000, description="Pods the trajectories are spread over. Default 1.")

    def lengthened(self, factor: int) -> Exploration:
        """Return the same MD with so many times the steps, and as many frames of them."""
        stages = [
            stage.model_copy(update={"steps": factor * stage.steps, "sample_every": factor * stage.sample_every})
            for stage in self.stages
        ]
        return Exploration(stages=stages, pods=self.pods)

    def unfit_for(self, systems: Sequence[str]) -> str:
        """Say that a stage names what is none of a job's systems, or that none runs one; nothing if all fit."""
        for number, stage in enumerate(self.stages):
            unknown = [name for name in stage.systems or () if name not in systems]
            if unknown:
                return (
                    f"exploration.stages[{number}].systems has {first_of(unknown)}, and the systems of this job are "
                    f"{first_of(systems)}: correct the name"
                )
        idle = [name for name in systems if not any(stage.runs(name) for stage in self.stages)]
        if not idle:
            return ""
        return (
            f"exploration.stages has none that runs {first_of(idle)}: add it to systems of one, or give one without "
            "systems, which runs all"
        )

"""Which frames are labelled, and what for."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Literal, Self

from pydantic import Field, model_validator

from .base import Positive, Strict, invalid_at

HOLD_OUT: Final = "hold-out"
"""Purpose of a frame that models are measured on, and never trained."""
TRAINING: Final = "training"
NOISE: Final = "noise"
"""Purpose of a frame that is computed once more, by tighter settings."""
Purpose = Literal["hold-out", "training"]
"""Of the MD of an iteration, and of the frames that are chosen out of it."""
TaskPurpose = Purpose | Literal["noise"]
"""Of a calculation."""


class Aimd(Strict):
    """Short ab-initio MD from perturbed structures; each step is one label."""

    trajectories: int = Field(
        4, ge=0, le=1000, description="Number of trajectories; starts are spread over the systems. Default 4."
    )
    steps: int = Field(5, ge=1, le=1000, description="MD steps, hence labels, in each trajectory. Default 5.")
    temperature_kelvin: Positive = Field(
        300.0, le=20000, description="Temperature of the initial velocities, in K. Default 300."
    )
    timestep_fs: Positive = Field(2.0, le=20, description="Timestep, in fs. Default 2.")


class Apart(StrEnum):
    """What of the hold-out no training frame shares."""

    TRAJECTORIES = "Trajectories"
    """Its trajectories, from starts of their own: other variations of the same structures."""
    STRUCTURES = "Structures"
    """Its structures, with all their variations, in systems that have enough of them."""


class HoldOut(Strict):
    """The frozen hold-out: DFT-labelled frames of trajectories of their own, never trained on."""

    frames: int = Field(
        16,
        ge=4,
        le=2000,
        description="Number of frames, spread evenly over systems, temperatures and pressures. Default 16.",
    )
    apart: Apart = Field(
        Apart.TRAJECTORIES,
        description="How it is kept apart from training. Trajectories: its MD runs are its own. Structures: a quarter "
        "of each system's structures, if it has four, is used for nothing else. Default Trajectories.",
    )

    @property
    def labels(self) -> int:
        """How many frames the job has labelled for it."""
        return self.frames


class NoveltyMeasure(StrEnum):
    """What makes a candidate frame new."""

    DISTANCE = "Distance"
    """How far it is from the nearest labelled frame, by the model's features."""
    UNCERTAINTY = "Uncertainty"
    """How little the labels so far determine a linear model of those features there."""


class Selection(Strict):
    """How candidate frames become the frames that are labelled."""

    frames_per_iteration: int = Field(20, ge=1, le=10000, description="Frames labelled in each iteration. Default 20.")
    representative_fraction: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Share sampled evenly from the MD, to measure the model; the rest is what is new to it. "
        "Default 0.5.",
    )
    novelty: NoveltyMeasure = Field(
        NoveltyMeasure.DISTANCE,
        description="What is new: far from labelled frames, or uncertain to a linear model of them. Default Distance.",
    )
    low_energy_fraction: float = Field(
        0.0,
        ge=0,
        le=0.5,
        description="Share that is lowest in energy per atom of its composition. Default 0.",
    )
    min_distance_factor: float = Field(
        0.6,
        gt=0,
        le=1.5,
        description="Frames with atoms closer than this times the sum of covalent radii are dropped. Default 0.6.",
    )
    close_contact_fraction: float = Field(
        0.0,
        ge=0,
        le=0.5,
        description="Share in which two atoms are pushed together, to learn what repels them. Default 0.",
    )

    @model_validator(mode="after")
    def _shares_of_one_whole(self) -> Self:
        if self.representative_fraction + self.low_energy_fraction > 1:
            words = f"it and representativeFraction ({self.representative_fraction:g}) add up to more than 1"
            raise invalid_at(("lowEnergyFraction",), words, self.low_energy_fraction)
        return self

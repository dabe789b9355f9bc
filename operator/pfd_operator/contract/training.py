"""How a model is trained. Written by users, read by stage containers."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Self

from pydantic import Field, model_validator

from .base import Positive, Strict, invalid_at


class StartOfTraining(StrEnum):
    """What the training of each iteration starts from, after the first."""

    PRETRAINED = "Pretrained"
    BEST = "Best"


class Training(Strict):
    """Fine-tuning by the program of the model: deepmd-kit (PyTorch backend) or SevenNet."""

    steps: int = Field(2000, ge=1, le=100_000_000, description="Training steps in each iteration. Default 2000.")
    batch_size: int = Field(1, ge=1, le=4096, description="Frames in a batch. Default 1.")
    nodes: int = Field(
        1, ge=1, le=64, description="Pods that train together; each process takes batches of its own. Default 1."
    )
    learning_rate_start: Positive = Field(
        2e-4, lt=1, description="First learning rate. Default 2e-4, which keeps what the model knows."
    )
    learning_rate_stop: Positive = Field(1e-6, lt=1, description="Last learning rate. Default 1e-6.")
    validation_fraction: float = Field(
        0.1,
        ge=0,
        le=0.5,
        description="About this part of the training frames, in stretches of trajectories and about 100 at most, only "
        "picks the best checkpoint. Default 0.1.",
    )
    checkpoint_seconds: int = Field(
        300, ge=5, le=86400, description="Time between uploaded checkpoints, in s. Default 300."
    )
    template: dict[str, Any] = Field(
        {},
        description="Any part of the training program's input, laid over ours (a loss replaces ours); "
        "unknown keys are refused. Default: none.",
    )

    @model_validator(mode="after")
    def _rate_falls(self) -> Self:
        if self.learning_rate_stop > self.learning_rate_start:
            words = f"must not be larger than learningRateStart ({self.learning_rate_start:g})"
            raise invalid_at(("learningRateStop",), words, self.learning_rate_stop)
        return self

    @property
    def settings(self) -> Training:
        """Return these fields alone, without those that say where the training starts."""
        return Training(**self.model_dump(include=set(Training.model_fields)))


class FineTuning(Training):
    """Training of the pre-trained model, in every iteration."""

    start_from: StartOfTraining = Field(
        StartOfTraining.PRETRAINED,
        description="Each iteration trains from the Pretrained model, or goes on from the Best one so far. "
        "Default Pretrained.",
    )

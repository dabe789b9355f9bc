"""The student of a distillation: which model it is and how it is trained. Written by users, read by stages."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import Field, model_validator

from .base import ExactlyOne, Positive
from .training import Training

SECTION_KEYS = ("descriptor", "fitting_net")


class Preset(StrEnum):
    """Students by size; all of them can be compressed."""

    SMALL = "small"
    MEDIUM = "medium"
    LARGE = "large"


class Student(ExactlyOne):
    """The light model that is trained from scratch on the teacher's labels: a preset, or any model of deepmd-kit."""

    preset: Preset | None = Field(
        None,
        description="small and medium: se_e2_a; large: DPA-1 without attention. Default small, if no model is given.",
    )
    model: dict[str, Any] | None = Field(None, description="`model` section of a deepmd-kit input, without type_map.")
    compress: bool = Field(
        True,
        description="Tabulate the embedding nets, which makes MD several times faster. Default true.",
    )
    cutoff: float | None = Field(
        None,
        ge=2,
        le=12,
        description="Cutoff radius of a preset, in Å. Default 5 (small) or 6 (medium, large).",
    )

    @classmethod
    def union_members(cls) -> tuple[str, ...]:
        """Compression goes with either, the cutoff with a preset."""
        return ("preset", "model")

    @classmethod
    def has_default(cls) -> bool:
        """A small preset."""
        return True

    @model_validator(mode="before")
    @classmethod
    def _small_unless_told(cls, given: Any) -> Any:
        """Choose the default here: as a field's default the API server would set it beside a given model, too."""
        if isinstance(given, dict) and given.get("preset") is None and given.get("model") is None:
            return {**given, "preset": Preset.SMALL}
        return given

    @model_validator(mode="after")
    def _model_says_all_but_its_elements(self) -> Student:
        if self.model is None:
            return self
        if self.cutoff is not None:
            raise ValueError("cutoff: belongs to a preset; set rcut in the descriptor of model instead")
        if "type_map" in self.model:
            raise ValueError("model.type_map: cannot be set: the student has the elements of its teacher's systems")
        missing = [key for key in SECTION_KEYS if not isinstance(self.model.get(key), dict)]
        if missing:
            raise ValueError(f"model.{missing[0]}: is needed, as in the model section of a deepmd-kit input")
        return self


class StudentTraining(Training):
    """Training of a student from random parameters: `Training` with defaults of its own, so that both go the same way.

    The field named batch size counts differently: labels by a teacher are cheap and come in cells of many sizes.
    """

    steps: int = Field(20000, ge=1, le=100_000_000, description="Training steps in each round. Default 20000.")
    batch_size: int = Field(
        1,
        ge=1,
        le=4096,
        description="Batch size in units of 32 atoms. Default 1.",
    )
    learning_rate_start: Positive = Field(5e-3, lt=1, description="First learning rate. Default 5e-3.")
    learning_rate_stop: Positive = Field(1e-5, lt=1, description="Last learning rate. Default 1e-5.")

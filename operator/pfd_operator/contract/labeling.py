"""How labels are computed: by which engine, how their own noise is checked, and how they are spread over pods."""

from __future__ import annotations

from typing import Any

from pydantic import Field, ValidationError, model_validator

from .base import Strict, invalid_at, moved_to
from .engine import Engine

OTHER_METHOD = frozenset({"pseudopotentials", "command", "calculator", "filesFrom", "requires", "output"})
"""Settings that say what is computed, not how accurately."""
PROGRAM_NEEDS_IMAGE = "labeling.engine.program runs in an image of yours: name it here"
_NOISE_SETTINGS = ("noiseCheck", "settings")


class NoiseCheck(Strict):
    """How far the reference itself is from tighter settings of the same engine."""

    frames: int = Field(
        4, ge=1, le=1000, description="Hold-out frames computed once more, each of them one label. Default 4."
    )
    farthest: int = Field(
        1,
        ge=0,
        le=1000,
        description="Frames to train on computed once more in each later iteration, those farthest from what was "
        "labelled before, each of them one label on top of selection.framesPerIteration; 0: none. Default 1.",
    )
    settings: dict[str, Any] = Field(
        description="Settings in place of those of the engine, e.g. {cutoffEv: 400, kSpacing: 0.5}."
    )


class FailureLimit(Strict):
    """How many labels may fail, whatever labels."""

    max_failed_fraction: float = Field(
        0.2,
        ge=0,
        le=1,
        description="The job fails if more than this fraction of the hold-out's calculations, or of all others in a "
        "stage, failed; an AIMD trajectory counts as one. Default 0.2.",
    )


class LabelPods(FailureLimit):
    """How labels are shared out among pods, whatever labels."""

    frames_per_pod: int
    parallelism: int


class Labeling(LabelPods):
    """Reference calculations."""

    engine: Engine = Field(description="The engine and its physics: exactly one of abinit, xtb, ase, program.")
    image: str | None = Field(
        None,
        max_length=512,
        description="Image of the engine (ase, xtb: a worker image). Default: that of the chart; program has none.",
    )
    parallelism: int = Field(4, ge=1, le=10000, description="Label pods at a time. Default 4.")
    frames_per_pod: int = Field(
        1, ge=1, le=10000, description="Calculations run one after another in one pod. Default 1."
    )
    timeout_seconds: int = Field(
        3600, ge=10, le=604800, description="Longest time for one calculation, in s. Default 3600."
    )
    noise_check: NoiseCheck | None = Field(
        None,
        description="Also label some hold-out frames with tighter settings: the difference is the labels' own noise, "
        "and model errors below it say nothing. And the newest of the frames to train on: labels far noisier than "
        "those are remarked. Default: none.",
    )

    def tighter(self) -> Engine | None:
        """Return the engine of the noise check.

        Raises
        ------
        ValidationError
            If its settings are none of the engine's, change nothing, or make it another method.
        """
        if self.noise_check is None:
            return None
        name, settings = self.engine.chosen()
        other = sorted(OTHER_METHOD & set(self.noise_check.settings))
        if other:
            words = f"{', '.join(other)} would be another method, not tighter settings"
            raise invalid_at(_NOISE_SETTINGS, words, self.noise_check.settings)
        try:
            tighter = type(settings).model_validate(_changed(settings.to_json(), self.noise_check.settings))
        except ValidationError as error:
            raise moved_to(_NOISE_SETTINGS, error) from error
        if tighter == settings:
            words = "nothing in them differs from the engine's own settings"
            raise invalid_at(_NOISE_SETTINGS, words, self.noise_check.settings)
        return Engine(**{name: tighter})

    @model_validator(mode="after")
    def _noise_can_be_checked(self) -> Labeling:
        self.tighter()
        return self

    @model_validator(mode="after")
    def _a_program_has_an_image(self) -> Labeling:
        if self.engine.program is not None and self.image is None:
            raise invalid_at(("image",), PROGRAM_NEEDS_IMAGE, None)
        return self


def _changed(settings: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return settings with others in their place; of files, those that are named."""
    changed = settings | changes
    if isinstance(settings.get("files"), dict) and isinstance(changes.get("files"), dict):
        changed["files"] = settings["files"] | changes["files"]
    return changed

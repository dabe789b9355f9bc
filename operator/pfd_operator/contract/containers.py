"""A stage pod's containers and their folders: what one of them says means what its name is."""

from __future__ import annotations

from enum import StrEnum

WORK_DIRECTORY = "/work"
"""Where a stage works, on a volume of the workers' own."""
ENGINE_FOLDER = "engine"
"""In the work folder of a label pod, on a volume of its own: all that an engine's containers and the workers share."""

RUN_SCRIPT = "run.sh"
"""In that folder: what stage-in has written for the engine's container to run."""


class Side(StrEnum):
    """What a worker is to do, as its argument: a whole stage, or what comes before and after an engine's container."""

    STAGE = "stage"
    LABEL_IN = "label-in"
    LABEL_OUT = "label-out"


class Container(StrEnum):
    """A container of a stage's pod: one alone, or a DFT engine's image as it is between two workers."""

    STAGE = "stage"
    PROBE = "engine-probe"
    STAGE_IN = "stage-in"
    ENGINE = "engine"
    STAGE_OUT = "stage-out"


ENGINE_CONTAINERS = frozenset({Container.ENGINE, Container.PROBE})
"""Run the engine's own image: their exit codes are no contract."""
SMALL_CONTAINERS = frozenset({Container.PROBE, Container.STAGE_IN, Container.STAGE_OUT})
"""Beside an engine, which has what spec.pods.label.resources says; theirs are the administrator's."""

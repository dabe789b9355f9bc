"""Engines that compute labels: which need an image of their own, and what is said where none is known."""

from __future__ import annotations

from pfd_operator.contract.engine import Engine
from pfd_operator.contract.stage import LabelParams, StageParams

IN_WORKER = frozenset({"xtb", "ase"})
"""Engines that compute in the worker image; the others need one of their own."""


def missing_image(params: StageParams, image: str | None) -> str:
    """Say that the engine of a label stage has no image to run in; nothing if it has.

    Parameters
    ----------
    image
        The engine's own, if one is known.
    """
    engine = params.engine if isinstance(params, LabelParams) else None
    return "" if engine is None else without_image(engine, image)


def without_image(engine: Engine, image: str | None) -> str:
    """Say that an engine has no image to run in; nothing if it has."""
    name, _ = engine.chosen()
    if name in IN_WORKER or image is not None:
        return ""
    return (
        f"spec.labeling.image: no image is known for the engine {name}: give one here, or ask the administrator to set "
        f"one for all jobs (images.engines.{name} of the chart)"
    )

"""Which labeler an engine has."""

from __future__ import annotations

from functools import partial

from pfd_operator.contract.engine import AbinitEngine, AseEngine, Engine, XtbEngine
from pfd_operator.contract.program import ProgramEngine
from pfd_worker.labelers.abinit import AbinitLabeler
from pfd_worker.labelers.base import ExternalLabeler, InProcessLabeler
from pfd_worker.labelers.in_process import AseLabeler, xtb_labeler
from pfd_worker.labelers.limited import LimitedLabeler
from pfd_worker.labelers.program import ProgramLabeler


def in_process_labeler(engine: Engine) -> InProcessLabeler:
    """Return the labeler of an engine that the worker holds."""
    _, settings = engine.chosen()
    if isinstance(settings, XtbEngine):
        return xtb_labeler(settings)
    if isinstance(settings, AseEngine):
        return AseLabeler.from_settings(settings)
    raise ValueError(f"{type(settings).__name__} runs in an image of its own")


def limited_labeler(engine: Engine, seconds: float) -> LimitedLabeler:
    """Return the same labeler in a process of its own, with a limit in seconds for each calculation."""
    return LimitedLabeler(partial(in_process_labeler, engine), seconds)


def external_labeler(engine: Engine) -> ExternalLabeler:
    """Return the labeler of an engine that has an image of its own."""
    _, settings = engine.chosen()
    if isinstance(settings, AbinitEngine):
        return AbinitLabeler(settings)
    if isinstance(settings, ProgramEngine):
        return ProgramLabeler(settings)
    raise ValueError(f"{type(settings).__name__} runs in the worker")

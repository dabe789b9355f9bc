"""Trainings outside a stage: in a folder of their own, with checkpoints in a store beside it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from ase import Atoms

from pfd_operator.contract.training import Training
from pfd_worker.store.objects import DirectoryStore
from pfd_worker.team import ALONE
from pfd_worker.training.checkpoints import CheckpointStore
from pfd_worker.training.runner import TrainingRun
from pfd_worker.training.session import TrainingSession


def run_in(
    folder: Path,
    settings: Training,
    begin: Callable[[Path, Sequence[Atoms], int], TrainingSession],
    progress: Callable[[float, str], None] = lambda percent, message: None,
    stopping: threading.Event | None = None,
) -> TrainingRun:
    """Return a training in `folder`/training with checkpoints in `folder`/store; `begin` is told that folder first."""
    return TrainingRun(
        folder=folder / "training",
        begin=lambda frames, seed: begin(folder / "training", frames, seed),
        team=ALONE,
        checkpoints=CheckpointStore(DirectoryStore(folder / "store"), "0" * 64),
        checkpoint_seconds=settings.checkpoint_seconds,
        validation_fraction=settings.validation_fraction,
        seed=7,
        progress=progress,
        stopping=stopping or threading.Event(),
    )

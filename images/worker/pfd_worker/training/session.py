"""What a training program is to us: a child process in a folder, with an input, a learning curve and checkpoints."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from pfd_operator.contract.digest import seed_of
from pfd_worker.models.base import AtomisticModel
from pfd_worker.training.curve import CurvePoint


class TrainingSession(Protocol):
    """One training by one program, in a folder of its own."""

    @property
    def program(self) -> str:
        """What runs, as its users know it."""
        ...

    @property
    def distributed(self) -> bool:
        """Whether several of its processes train together if torchrun starts them."""
        ...

    @property
    def folder(self) -> Path:
        """The child runs here."""
        ...

    @property
    def steps(self) -> int:
        """Training ends after so many."""
        ...

    @property
    def curve_file(self) -> str:
        """Name of the learning curve in the folder."""
        ...

    def command(self, resumed: Path | None) -> list[str]:
        """Write what the program reads; return its command line.

        Parameters
        ----------
        resumed
            Checkpoint of an earlier attempt in the folder; None to start at the beginning.
        """
        ...

    def last_point(self) -> CurvePoint | None:
        """Return the end of the learning curve; None if there is none yet."""
        ...

    def checkpoints(self) -> list[Path]:
        """Return the complete checkpoints that the best is chosen of, oldest first; they stay complete.

        They are those of certain steps; checkpoints that were asked for (`on_request`) are none of them.
        """
        ...

    def checkpoint(self, step: int) -> Path:
        """Return where the checkpoint of a step belongs: among those to choose of, or those that were asked for."""
        ...

    def step_of(self, checkpoint: Path) -> int:
        """Return the step of a checkpoint."""
        ...

    def open(self, checkpoint: Path) -> AtomisticModel:
        """Load a checkpoint for prediction."""
        ...

    def strip(self, checkpoint: Path, output: Path) -> None:
        """Write the model of a checkpoint alone: optimizer state is two thirds of the file."""
        ...


def attempt_seed(seed: int, resumed_step: int) -> int:
    """Return the seed of an attempt that goes on from a step; 0 is the start.

    Neither program keeps where in the order of frames it was, so with one seed for all attempts each would train on
    the same first frames again, and the last ones of the order would never be seen.
    """
    return (seed_of(seed, "resumed", str(resumed_step)) if resumed_step else seed) % 2**31


def written_out(checkpoints: Sequence[Path]) -> list[Path]:
    """Return checkpoints, oldest first, without the last one if it is still being written.

    torch saves zip archives, whose directory comes last.
    """
    whole = not checkpoints or zipfile.is_zipfile(checkpoints[-1])
    return list(checkpoints if whole else checkpoints[:-1])

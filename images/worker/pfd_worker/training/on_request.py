"""A checkpoint whenever it is asked for: the stage leaves a file, and its training program answers between two steps.

What a program saves by itself follows its steps, so that the choice of the best checkpoint is the same on any machine.
How much work a lost pod costs is a matter of time: checkpoints of this module serve to go on, and are no candidates.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

REQUEST = "checkpoint.wanted"
"""File in the folder of a training."""
_PREFIX = "resume-"


def ask(folder: Path) -> None:
    """Ask the program that trains in a folder for a checkpoint."""
    (folder / REQUEST).touch()


def is_asked(folder: Path) -> bool:
    """Tell whether a checkpoint was asked for and is not there yet."""
    return (folder / REQUEST).exists()


def answer(folder: Path, step: int, write: Callable[[Path], None]) -> None:
    """Write the checkpoint that was asked for; a kill leaves a whole one or none."""
    part = folder / f"{_PREFIX}{step}.part"
    write(part)
    part.replace(requested(folder, step))
    (folder / REQUEST).unlink(missing_ok=True)


def requested(folder: Path, step: int) -> Path:
    """Return where the checkpoint is that was asked for and written after a step."""
    # deepmd-kit adds .pt to names that do not end so
    return folder / f"{_PREFIX}{step}.pt"


def requested_step(checkpoint: Path) -> int | None:
    """Return the step of a checkpoint that was asked for, None if the program wrote it by itself."""
    number = checkpoint.stem.removeprefix(_PREFIX)
    return int(number) if number != checkpoint.stem else None


def all_requested(folder: Path) -> list[Path]:
    """Return the checkpoints that were asked for."""
    return list(folder.glob(f"{_PREFIX}*.pt"))


def drop_requested(folder: Path, below: int) -> None:
    """Remove those of earlier steps than one that is there."""
    for path in all_requested(folder):
        if (requested_step(path) or 0) < below:
            path.unlink(missing_ok=True)

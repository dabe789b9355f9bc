"""What an engine in an image of its own has left: read with care, since nothing of ours has written it."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from ase import Atoms

from pfd_operator.contract.program import EXIT_CODE_FILE, LOG_FILE
from pfd_worker.labelers.base import LabelFailure, Verdict

LARGEST_BYTES = 128 * 2**20
"""Of one output. A single point with projections of every band on every atom is larger, and says nothing more."""
_LINES_KEPT = 12
_TAIL_BYTES = 16384


def bytes_of(path: Path) -> bytes:
    """Return what is in a file that an engine may have written.

    Raises
    ------
    FileNotFoundError
        If there is none.
    ValueError
        If it is no plain file, or larger than any that is read.
    """
    with os.fdopen(_opened(path), "rb") as file:
        found = os.fstat(file.fileno())
        if found.st_size > LARGEST_BYTES:
            raise ValueError(
                f"{path.name} has {found.st_size / 2**20:.0f} MiB, at most {LARGEST_BYTES // 2**20} are read: "
                "let the program write less"
            )
        return file.read(LARGEST_BYTES)


def text_of(path: Path) -> str:
    """Return the text of such a file, as `bytes_of` does its bytes."""
    return bytes_of(path).decode(errors="replace")


def exit_code_of(directory: Path) -> int:
    """Return the exit code that our script has left, in a folder where the program could write, too.

    Raises
    ------
    FileNotFoundError
        If the run goes on.
    ValueError
        If it is not what the script writes.
    """
    text = text_of(directory / EXIT_CODE_FILE).strip()
    if not text:
        raise ValueError(f"{EXIT_CODE_FILE} is empty: it could not be written, most likely for no space left on device")
    if not (text.isdecimal() and len(text) <= 3):
        raise ValueError(f"{EXIT_CODE_FILE} holds no number: the program has written over it")
    return int(text)


def fate(exit_code: int) -> tuple[LabelFailure, str] | None:
    """Return reason and words for a run that was ended by others, None for one that ended by itself."""
    if exit_code == 137:
        return (
            LabelFailure.ENGINE_KILLED,
            "the engine was killed (SIGKILL), most likely out of memory, or it did not end when its time was over",
        )
    if exit_code == 124:
        return LabelFailure.TIMED_OUT, "the calculation took longer than spec.labeling.timeoutSeconds"
    return None


def failed(directory: Path, reason: LabelFailure, words: str, frames: Sequence[Atoms] = ()) -> Verdict:
    """Return the verdict on a run that failed, with the engine's last lines; `frames` are what it gave before."""
    return Verdict(tuple(frames), reason, "\n".join([f"{words}; its last lines:", *_last_lines(directory)])[:2000])


def _last_lines(directory: Path) -> list[str]:
    try:
        with os.fdopen(_opened(directory / LOG_FILE), "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL_BYTES))
            return file.read(_TAIL_BYTES).decode(errors="replace").splitlines()[-_LINES_KEPT:]
    except (OSError, ValueError):
        return []


def _opened(path: Path) -> int:
    # a link may lead to what only the worker may read, be it to a folder above, and a pipe is never at its end
    try:
        with ExitStack() as opened:
            folder: int | None = None
            for part in path.absolute().parts[:-1]:
                folder = os.open(part, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
                opened.callback(os.close, folder)
            descriptor = os.open(path.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ValueError(f"{path.name} cannot be read ({error.strerror}); a link is not followed") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ValueError(f"{path.name} is no plain file")
    return descriptor

"""Where an ASE calculator computes: in a working directory without anything of another calculation."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from types import TracebackType
from typing import Any

from pfd_operator.contract.result import Reason
from pfd_worker.errors import transient

ELSEWHERE = "elsewhere-"
"""Beginning of links, beside the working directories, to those that are elsewhere: who kills us clears them away."""


class Workplace:
    """A calculator in an empty working directory; both are made anew once a calculation has left a file.

    Calculators of programs read whatever lies there: if the program ends well without new results, those of the
    calculation before, of another structure. A calculator that leaves no file works in memory, and goes on with what
    it knows. The working directory is the whole process's: no two threads can compute in one at a time.

    Parameters
    ----------
    make
        Makes the calculator.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._held = contextlib.ExitStack()
        self._folders: list[Path] = []
        self._calculator: Any = None

    def __enter__(self) -> Workplace:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()

    @contextlib.contextmanager
    def calculator(self) -> Iterator[Any]:
        """Give a calculator for the next structure, and be where it computes."""
        if self._calculator is None or any(any(folder.iterdir()) for folder in self._folders):
            self.clear()
            folder = self._empty_folder()
            with contextlib.chdir(folder):
                self._calculator = self._make()
                self._move_below(folder)
        with contextlib.chdir(self._folders[0]):
            yield self._calculator

    def clear(self) -> None:
        """Remove calculator and folders."""
        self._calculator = None
        self._folders = []
        self._held.close()

    def _empty_folder(self, parent: Path | None = None) -> Path:
        try:
            if parent is not None:
                parent.mkdir(parents=True, exist_ok=True)
            # a program that is killed may still write while its folder is removed
            made = TemporaryDirectory(prefix="calculation-", dir=parent, ignore_cleanup_errors=True)
            folder = Path(self._held.enter_context(made)).resolve()
            if parent is not None:
                link = Path(gettempdir()) / f"{ELSEWHERE}{folder.name}"
                link.symlink_to(folder)
                self._held.callback(link.unlink, missing_ok=True)
        except OSError as error:
            # no fault of the frame's
            where = gettempdir() if parent is None else parent
            raise transient(
                Reason.INTERNAL_ERROR, f"no folder to compute in can be made in {where}: {error}"
            ) from error
        self._folders.append(folder)
        return folder

    def _move_below(self, folder: Path) -> None:
        """Let a calculator whose own `directory` is elsewhere, on a larger disk, say, use an empty one in it."""
        given = getattr(self._calculator, "directory", None)
        if isinstance(given, str | os.PathLike) and not Path(given).resolve().is_relative_to(folder):
            parent = Path(given).resolve()
            # as it was given: ASE's newer calculators go on with a Path, older ones with text
            folder = self._empty_folder(parent)
            self._calculator.directory = str(folder) if isinstance(given, str) else folder

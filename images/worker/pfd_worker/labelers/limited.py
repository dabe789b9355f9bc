"""Labels within a time limit: what hangs is a child process, which can be killed, and not the worker."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import signal
import tempfile
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any

from pfd_operator.contract.result import Reason
from pfd_worker.errors import StageError, transient
from pfd_worker.labelers.base import InProcessLabeler, LabelFailure, Verdict
from pfd_worker.labelers.task import Calculation
from pfd_worker.models.workplace import ELSEWHERE

START_SECONDS = 600.0
"""Time to import a calculator and to make it; it is no part of a calculation's own."""
GRACE_SECONDS = 5.0


class LimitedLabeler:
    """A labeler of the worker in a child process, which is killed when a calculation's time is over.

    The child is begun for the first task, computes one after another, and is begun anew after it has ended.

    Parameters
    ----------
    make
        Makes the labeler, in the child: it goes there by pickle.
    seconds
        Longest time for one calculation.
    """

    def __init__(self, make: Callable[[], InProcessLabeler], seconds: float) -> None:
        self._make = make
        self._seconds = seconds
        self._child: _Child | None = None

    def __enter__(self) -> LimitedLabeler:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(GRACE_SECONDS)

    def compute(self, calculation: Calculation) -> Verdict:
        """Compute a label; a child that is killed or ends by itself is a failed one.

        Raises
        ------
        StageError
            As the labeler does; EngineLost (transient), if it cannot be made within `START_SECONDS`.
        """
        child = self._child or self._begin()
        try:
            verdict: Verdict = child.ask(calculation, self._seconds)
        except TimeoutError:
            self._end()
            limit = f"spec.labeling.timeoutSeconds, {self._seconds:g} s"
            return Verdict(reason=LabelFailure.TIMED_OUT, message=f"the calculation took longer than {limit}")
        except (EOFError, ConnectionError):
            return _died(self._end(GRACE_SECONDS))
        if verdict.by_machine:
            # a GPU that has failed answers this process no more
            self._end(GRACE_SECONDS)
        return verdict

    def _begin(self) -> _Child:
        self._child = _Child(self._make)
        try:
            self._child.ask(None, START_SECONDS)
        except (TimeoutError, EOFError, ConnectionError) as error:
            self._end()
            raise transient(
                Reason.ENGINE_LOST, f"spec.labeling.engine: the calculator could not be started ({error!r})"
            ) from error
        return self._child

    def _end(self, grace: float = 0.0) -> int | None:
        child, self._child = self._child, None
        return None if child is None else child.end(grace)


class _Child:
    """The parent's side: a process that answers each question with one answer."""

    def __init__(self, make: Callable[[], InProcessLabeler]) -> None:
        # not forked: the worker has threads, and the calculator may want a GPU
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        # a calculation that is killed cannot clear away what it has written
        self._folder = tempfile.TemporaryDirectory(prefix="labeler-", ignore_cleanup_errors=True)
        self._process = context.Process(target=_serve, args=(theirs, make, self._folder.name), name="labeler")
        self._process.start()
        theirs.close()

    def ask(self, calculation: Calculation | None, seconds: float) -> Any:
        self._connection.send(calculation)
        if not self._connection.poll(seconds):
            raise TimeoutError(f"no answer within {seconds:g} s")
        answer = self._connection.recv()
        if isinstance(answer, _Failure):
            raise answer.error()
        return answer

    def end(self, grace: float) -> int | None:
        """End the child, after `grace` seconds by force and with all its processes; return its exit code."""
        self._connection.close()
        self._process.join(grace)
        if self._process.exitcode is None and self._process.pid is not None:
            with contextlib.suppress(ProcessLookupError):  # it has not come to lead a group
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.kill()
            self._process.join()
        for link in Path(self._folder.name).glob(f"{ELSEWHERE}*"):
            shutil.rmtree(link.resolve(), ignore_errors=True)
        self._folder.cleanup()
        return self._process.exitcode


class _Failure:
    """What ended the child's work, but is no verdict: errors themselves do not survive the way by pickle."""

    def __init__(self, error: Exception) -> None:
        self._stage_error = (error.exit_code, error.reason, error.message) if isinstance(error, StageError) else None
        self._words = f"{type(error).__name__}: {error}"

    def error(self) -> Exception:
        return RuntimeError(self._words) if self._stage_error is None else StageError(*self._stage_error)


def _serve(connection: Connection, make: Callable[[], InProcessLabeler], folder: str) -> None:
    """Answer the parent's questions, in the child: with None when the labeler is there, with a verdict on a task."""
    os.setsid()
    tempfile.tempdir = folder
    labeler: InProcessLabeler | None = None
    while True:
        try:
            calculation: Calculation | None = connection.recv()
        except EOFError:
            return
        try:
            labeler = labeler or make()
            connection.send(None if calculation is None else labeler.compute(calculation))
        except Exception as error:
            connection.send(_Failure(error))
            raise


def _died(exit_code: int | None) -> Verdict:
    if exit_code == -signal.SIGKILL:
        words = "the calculator's process was killed (SIGKILL), most likely out of memory"
        return Verdict(reason=LabelFailure.ENGINE_KILLED, message=words)
    how = f"by signal {-exit_code}" if exit_code is not None and exit_code < 0 else f"with exit code {exit_code}"
    return Verdict(reason=LabelFailure.ENGINE_ERROR, message=f"the calculator's process ended {how}")

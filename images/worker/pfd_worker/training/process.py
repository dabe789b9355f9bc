"""One training child process: watched, its checkpoints handed over while it runs, stopped without losing them."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pfd_operator.contract.result import ExitCode, Reason
from pfd_worker.errors import StageError, out_of_memory, preempted, transient, user_error
from pfd_worker.machine_faults import says_machine_fault
from pfd_worker.out_of_memory import kernel_kills, says_gpu_out_of_memory, says_out_of_memory
from pfd_worker.team import ALONE, Team
from pfd_worker.training.curve import CurvePoint
from pfd_worker.training.launch import launched
from pfd_worker.training.on_request import all_requested, ask, drop_requested, is_asked
from pfd_worker.training.session import TrainingSession

POLL_SECONDS = 0.5
GRACE_SECONDS = 5.0
ANSWER_SECONDS = 20.0
"""How long a program that is to stop may take to save: a step and a file. Storing it follows, in the pod's grace."""
LOG_FILE = "train.log"
_log = logging.getLogger(__name__)

_PROCESS_SIGNALLED = re.compile(r"exitcode\s*: -\d+")
"""In the table that torchrun prints when one of its processes dies; it itself ends with code 1 then."""


class Watcher(Protocol):
    """Who is told about a running training."""

    def on_point(self, point: CurvePoint) -> None:
        """A new line of the learning curve is there."""

    def on_checkpoint(self, path: Path, step: int) -> None:
        """A checkpoint is complete that training can go on from, and should be taken to safety."""

    def on_candidate(self, path: Path, step: int) -> None:
        """One that the best is chosen of is complete; the one to go on from, of this step or later, is safe."""


@dataclass
class TrainingProcess:
    """What runs and how often a checkpoint is asked of it."""

    session: TrainingSession
    checkpoint_seconds: float
    team: Team = ALONE

    def run(self, resumed: Path | None, watcher: Watcher, stopping: threading.Event) -> None:
        """Run to the end.

        Parameters
        ----------
        resumed
            Checkpoint of an earlier attempt to go on from; None to start at the beginning.

        Raises
        ------
        StageError
            Preempted when `stopping` is set, NotANumber, OutOfMemory, or TrainingFailed with the last lines of the log.
            Where another attempt follows, the newest checkpoint is handed over first.
        """
        _free_gpu_memory()
        kills_before, begun = kernel_kills(), self._newest_step()
        command = self.session.command(resumed)
        if self.session.distributed:
            command = launched(command, _gpus(), self.team)
        with (self.session.folder / LOG_FILE).open("wb") as log:
            child = subprocess.Popen(
                command,
                cwd=self.session.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "NUM_WORKERS": "0"},
                start_new_session=True,
            )
            try:
                saved = self._watch(child, begun, watcher, stopping)
            finally:
                _end(child)
        killed = kernel_kills() > kills_before
        failure = None if child.returncode == 0 else self._failure(child.returncode, killed)
        # what comes after the training takes its time, too
        if failure is None:
            self._hand_over(watcher, saved, must_succeed=True, candidates=1)
            return
        if failure.exit_code is ExitCode.TRANSIENT:
            try:
                self._hand_over(watcher, saved)
            except Exception:
                _log.exception("what was trained since step %d is not handed over", saved)
        raise failure

    def _watch(self, child: subprocess.Popen[bytes], saved: int, watcher: Watcher, stopping: threading.Event) -> int:
        """Return the last step that is safe, at first that of what the training began with, when it ends by itself."""
        seen_step, asked_at, waits = -1, time.monotonic(), False
        while child.poll() is None:
            stopped = stopping.wait(POLL_SECONDS)
            point = self.session.last_point()
            if point is not None and point.step != seen_step:
                seen_step = point.step
                if point.diverged:
                    raise _diverged(point)
                watcher.on_point(point)
            if stopped:
                self._await_answer(child)
                _end(child)
                saved = self._hand_over(watcher, saved, must_succeed=True)
                raise preempted(f"stopped; training goes on from {f'step {saved}' if saved else 'the start'}.")
            if waits and not is_asked(self.session.folder):
                saved, waits = self._hand_over(watcher, saved), False
            if not waits and time.monotonic() - asked_at >= self.checkpoint_seconds:
                ask(self.session.folder)
                asked_at, waits = time.monotonic(), True
        return saved

    def _await_answer(self, child: subprocess.Popen[bytes]) -> None:
        """Have the program save before it is ended; on several nodes the first does.

        That takes all of them: nodes of one drain are stopped at the same time, and the others train on until the
        first has ended its program, which ends theirs.
        """
        ask(self.session.folder)
        until = time.monotonic() + ANSWER_SECONDS
        while child.poll() is None and is_asked(self.session.folder) and time.monotonic() < until:
            time.sleep(0.1)

    def _hand_over(
        self, watcher: Watcher, saved: int, must_succeed: bool = False, candidates: int | None = None
    ) -> int:
        """Hand over what is newer than a step, candidates too, or only so many; return the step that is safe then."""
        session = self.session
        newest, to_choose = self._newest_step(), session.checkpoints()
        if newest <= saved:
            return saved
        every = {session.step_of(path): path for path in [*all_requested(session.folder), *to_choose]}
        fresh = [path for path in to_choose if saved < session.step_of(path) <= newest]
        try:
            watcher.on_checkpoint(every[newest], newest)
            for path in fresh if candidates is None else fresh[-candidates:]:
                # a fast program drops its oldest meanwhile
                with contextlib.suppress(FileNotFoundError):
                    watcher.on_candidate(path, session.step_of(path))
        except StageError as error:
            # a training that needs no store to go on does not end because there is none
            if must_succeed or error.exit_code is not ExitCode.TRANSIENT:
                raise
            _log.warning("the checkpoint of step %d is not in the store yet: %s", newest, error.message)
            return saved
        finally:
            drop_requested(session.folder, below=newest)
        return newest

    def _newest_step(self) -> int:
        """Return the step of the newest checkpoint, 0 if there is none."""
        found = [*all_requested(self.session.folder), *self.session.checkpoints()]
        return max(map(self.session.step_of, found), default=0)

    def _failure(self, code: int, kernel_killed: bool) -> StageError:
        tail = (self.session.folder / LOG_FILE).read_text(errors="replace").splitlines()[-12:]
        text = "\n".join(tail)
        # of several processes the kernel may kill one, and the others then end by themselves
        if kernel_killed or says_out_of_memory(text):
            of_gpu = says_gpu_out_of_memory(text) and not kernel_killed
            what = "GPU memory" if of_gpu else "memory"
            more = "use GPUs with more memory" if of_gpu else "raise spec.pods.train.resources.limits.memory"
            words = f"training ran out of {what}. Lower spec.training.batchSize, or {more}.\n{text}"
            return out_of_memory(words, of_gpu)
        may_pass = (
            code < 0
            or _PROCESS_SIGNALLED.search(text) is not None
            or says_machine_fault(text)
            # settings and data have worked up to here, and the next attempt goes on from it
            or self._newest_step() > 0
            # of pods that train together the end of one is the end of all: whose fault it was cannot be told
            or self.team.nodes > 1
        )
        message = f"`{self.session.program}` ended with code {code}:\n{text}"
        return (transient if may_pass else user_error)(Reason.TRAINING_FAILED, message)


def _gpus() -> int:
    import torch

    return int(torch.cuda.device_count())


def _free_gpu_memory() -> None:
    """Give back what predictions before the training took: torch keeps it for this process, the child needs it."""
    torch = sys.modules.get("torch")
    if torch is not None:
        gc.collect()
        torch.cuda.empty_cache()


def _diverged(point: CurvePoint) -> StageError:
    return user_error(
        Reason.NOT_A_NUMBER,
        f"the training loss is not a number at step {point.step}: training diverged. "
        "Lower spec.training.learningRateStart, and look for outliers in the labels.",
    )


def _end(child: subprocess.Popen[bytes]) -> None:
    """End the child with all its processes: of itself it saves nothing on SIGTERM, so waiting for it gains nothing."""
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGTERM)
        try:
            child.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()

"""One `dp train` child process: watched, its checkpoints handed over while it runs, stopped without losing them."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pfd_operator.contract.result import ExitCode, Reason
from pfd_worker.errors import StageError
from pfd_worker.training.curve import CurvePoint, last_point
from pfd_worker.training.settings import CHECKPOINT_PREFIX, CURVE_FILE

POLL_SECONDS = 0.5
GRACE_SECONDS = 5.0
LOG_FILE = "train.log"
OUT_OF_MEMORY_SIGNS = ("out of memory", "OutOfMemoryError", "Cannot allocate memory", "bad_alloc")
CGROUP_OOM_FILES = (Path("/sys/fs/cgroup/memory.events"), Path("/sys/fs/cgroup/memory/memory.oom_control"))


class Watcher(Protocol):
    """Who is told about a running training."""

    def on_point(self, point: CurvePoint) -> None:
        """A new line of the learning curve is there."""

    def on_checkpoint(self, path: Path, step: int) -> None:
        """A checkpoint is complete and should be taken to safety."""


@dataclass
class TrainingProcess:
    """How the child is started and how long its checkpoints may wait."""

    folder: Path
    """Holds input.json; the child runs here."""
    start_from: list[str]
    """--finetune, --init-model or --restart and a file; nothing to start from random parameters."""
    checkpoint_seconds: float
    neighbour_statistics: bool = False
    """Let it look at the neighbours in the data first."""
    gpus: int = 0
    """With several, one process on each."""

    def command(self) -> list[str]:
        """Return the command line."""
        statistics = [] if self.neighbour_statistics else ["--skip-neighbor-stat"]
        arguments = ["dp", "--pt", "train", "input.json", *statistics, *self.start_from]
        if self.gpus > 1:
            return ["torchrun", "--standalone", f"--nproc_per_node={self.gpus}", "--no-python", *arguments]
        return arguments

    def run(self, watcher: Watcher, stopping: threading.Event) -> None:
        """Run to the end.

        Raises
        ------
        StageError
            Preempted when `stopping` is set (the newest checkpoint is handed over first), NotANumber, OutOfMemory,
            or TrainingFailed with the last lines of the log.
        """
        kills_before = _out_of_memory_kills()
        with (self.folder / LOG_FILE).open("wb") as log:
            child = subprocess.Popen(
                self.command(),
                cwd=self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "NUM_WORKERS": "0"},
                start_new_session=True,
            )
            try:
                self._watch(child, watcher, stopping)
            finally:
                _end(child)
        if child.returncode != 0:
            raise self._failure(child.returncode, _out_of_memory_kills() > kills_before)

    def _watch(self, child: subprocess.Popen[bytes], watcher: Watcher, stopping: threading.Event) -> None:
        seen_step, saved, saved_at = -1, newest_checkpoint(self.folder), time.monotonic()
        while child.poll() is None:
            stopped = stopping.wait(POLL_SECONDS)
            point = last_point(self.folder / CURVE_FILE)
            if point is not None and point.step != seen_step:
                seen_step = point.step
                if point.diverged:
                    raise _diverged(point)
                watcher.on_point(point)
            newest = newest_checkpoint(self.folder)
            due = stopped or time.monotonic() - saved_at >= self.checkpoint_seconds
            if due and newest is not None and newest != saved:
                if stopped:
                    _end(child)
                watcher.on_checkpoint(*newest)
                saved, saved_at = newest, time.monotonic()
            if stopped:
                at = f"step {saved[1]}" if saved else "the start"
                raise StageError(ExitCode.PREEMPTED, Reason.PREEMPTED, f"stopped; training goes on from {at}.")

    def _failure(self, code: int, kernel_killed: bool) -> StageError:
        tail = (self.folder / LOG_FILE).read_text(errors="replace").splitlines()[-12:]
        text = "\n".join(tail)
        if any(sign in text for sign in OUT_OF_MEMORY_SIGNS) or (code == -signal.SIGKILL and kernel_killed):
            return StageError(
                ExitCode.TRANSIENT,
                Reason.OUT_OF_MEMORY,
                "training ran out of memory. Raise spec.pods.train.resources.limits.memory or lower "
                f"spec.training.batchSize.\n{text}",
            )
        exit_code = ExitCode.TRANSIENT if code < 0 else ExitCode.USER_ERROR
        return StageError(exit_code, Reason.TRAINING_FAILED, f"`dp train` ended with code {code}:\n{text}")


def _diverged(point: CurvePoint) -> StageError:
    return StageError(
        ExitCode.USER_ERROR,
        Reason.NOT_A_NUMBER,
        f"the training loss is not a number at step {point.step}: training diverged. "
        "Lower spec.training.learningRateStart, and look for outliers in the labels.",
    )


def _end(child: subprocess.Popen[bytes]) -> None:
    """End the child with all its processes: it saves nothing on SIGTERM, so waiting for it gains nothing."""
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGTERM)
        try:
            child.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def _out_of_memory_kills() -> int:
    """Return the cgroup's count of processes the kernel killed for memory; 0 where it is not told."""
    for path in CGROUP_OOM_FILES:
        try:
            for line in path.read_text().splitlines():
                name, _, value = line.partition(" ")
                if name == "oom_kill":
                    return int(value)
        except (OSError, ValueError):
            continue
    return 0


def newest_checkpoint(folder: Path) -> tuple[Path, int] | None:
    """Return the newest complete checkpoint and its step, None if there is none.

    deepmd-kit names a checkpoint in the file `checkpoint` once it is written out; the newest file may be half done.
    """
    try:
        path = folder / (folder / "checkpoint").read_text().strip()
    except OSError:
        return None
    if not path.is_file():
        return None
    return path, step_of(path)


def step_of(path: Path) -> int:
    """Return the step in the name of a checkpoint, model.ckpt-<step>.pt."""
    return int(path.stem.removeprefix(f"{CHECKPOINT_PREFIX}-"))


def all_checkpoints(folder: Path) -> list[Path]:
    """Return the numbered checkpoints in a folder, oldest first."""
    return sorted((p for p in folder.glob(f"{CHECKPOINT_PREFIX}-*.pt") if not p.is_symlink()), key=step_of)

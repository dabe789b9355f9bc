"""How a training ended, by its exit code, its last words and what the kernel counts."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from pfd_operator.contract.result import ExitCode, Reason
from pfd_worker.errors import StageError, transient
from pfd_worker.team import ALONE, Team
from pfd_worker.training.process import TrainingProcess


class Script:
    """A training program that is a line of shell."""

    program = "dp train"
    distributed = False

    def __init__(self, folder: Path, line: str) -> None:
        self.folder = folder
        self.line = line
        self.saved = folder / "model.ckpt-100.pt"

    def command(self, resumed: Path | None) -> list[str]:
        return ["sh", "-c", self.line]

    def last_point(self) -> None:
        return None

    def checkpoints(self) -> list[Path]:
        return [self.saved] if self.saved.exists() else []

    def step_of(self, checkpoint: Path) -> int:
        return 100


class Keeper:
    """Takes checkpoints, unless the store does not answer."""

    def __init__(self, away: bool = False) -> None:
        self.away = away
        self.kept: list[int] = []

    def on_point(self, point):
        pass

    def on_checkpoint(self, path, step):
        if self.away:
            raise transient(Reason.STORE_UNAVAILABLE, "no answer")
        self.kept.append(step)

    def on_candidate(self, path, step):
        pass


@pytest.mark.parametrize(
    ("line", "kernel_kills", "team", "reason", "exit_code"),
    [
        ("kill -9 $$", 1, ALONE, Reason.OUT_OF_MEMORY, ExitCode.USER_ERROR),
        # what the kernel killed was a process of the program, which then ended by itself
        ("echo 'worker was killed'; exit 1", 1, ALONE, Reason.OUT_OF_MEMORY, ExitCode.USER_ERROR),
        ("echo 'CUDA out of memory'; exit 1", 0, ALONE, Reason.GPU_OUT_OF_MEMORY, ExitCode.USER_ERROR),
        ("echo 'CUDA out of memory'; exit 1", 0, Team(2, 0), Reason.GPU_OUT_OF_MEMORY, ExitCode.USER_ERROR),
        ("kill -9 $$", 0, ALONE, Reason.TRAINING_FAILED, ExitCode.TRANSIENT),
        # of torchrun, whose process was ended by a signal
        ("echo '  exitcode  : -6 (pid: 7)'; exit 1", 0, ALONE, Reason.TRAINING_FAILED, ExitCode.TRANSIENT),
        ("echo '  exitcode  : 1 (pid: 7)'; exit 1", 0, ALONE, Reason.TRAINING_FAILED, ExitCode.USER_ERROR),
        ("echo 'unknown key'; exit 1", 0, ALONE, Reason.TRAINING_FAILED, ExitCode.USER_ERROR),
        ("echo 'connection lost'; exit 1", 0, Team(2, 0), Reason.TRAINING_FAILED, ExitCode.TRANSIENT),
        ("touch model.ckpt-100.pt; echo 'unknown'; exit 1", 0, ALONE, Reason.TRAINING_FAILED, ExitCode.TRANSIENT),
        ("touch model.ckpt-100.pt; echo 'bad_alloc'; exit 1", 0, ALONE, Reason.OUT_OF_MEMORY, ExitCode.USER_ERROR),
        *(
            (f"echo '{words}'; exit 1", 0, ALONE, Reason.TRAINING_FAILED, ExitCode.TRANSIENT)
            for words in (
                "RuntimeError: CUDA error: uncorrectable ECC error encountered",
                "RuntimeError: No CUDA GPUs are available",
                "torch.distributed.DistBackendError: NCCL error in: ProcessGroupNCCL.cpp:2251",
                "OSError: [Errno 28] No space left on device",
                "OSError: [Errno 5] Input/output error",
            )
        ),
    ],
)
def test_an_end_goes_to_its_row_of_the_failure_policy(
    tmp_path, monkeypatch, line, kernel_kills, team, reason, exit_code
):
    counts = iter((3, 3 + kernel_kills))
    monkeypatch.setattr("pfd_worker.training.process.kernel_kills", lambda: next(counts))
    with pytest.raises(StageError) as caught:
        TrainingProcess(Script(tmp_path, line), 60, team).run(None, Keeper(), threading.Event())
    assert (caught.value.reason, caught.value.exit_code) == (reason, exit_code)


@pytest.mark.parametrize(
    ("words", "away", "kept"),
    [("CUDA error: ECC", False, [100]), ("CUDA error: ECC", True, []), ("CUDA out of memory", False, [])],
    ids=["tried again", "store away", "final"],
)
def test_a_training_that_fails_leaves_its_newest_checkpoint_to_the_next_attempt(tmp_path, words, away, kept):
    keeper = Keeper(away)
    script = Script(tmp_path, f"touch model.ckpt-100.pt; echo '{words}'; exit 1")
    with pytest.raises(StageError, match=words):
        TrainingProcess(script, 60).run(None, keeper, threading.Event())
    assert keeper.kept == kept


def test_a_full_disk_is_told_though_the_model_beside_the_checkpoint_does_not_fit_either(tmp_path):
    class Full(Keeper):
        def on_candidate(self, path, step):
            raise OSError(28, "No space left on device", "model-alone.pt")

    keeper = Full()
    script = Script(tmp_path, "touch model.ckpt-100.pt; echo 'cannot write, No space left on device'; exit 1")
    with pytest.raises(StageError, match="cannot write") as caught:
        TrainingProcess(script, 60).run(None, keeper, threading.Event())
    assert (caught.value.reason, caught.value.exit_code) == (Reason.TRAINING_FAILED, ExitCode.TRANSIENT)
    assert keeper.kept == [100]


def test_a_checkpoint_that_an_attempt_began_with_is_not_stored_again(tmp_path):
    keeper, script = Keeper(), Script(tmp_path, "echo 'CUDA error: ECC'; exit 1")
    script.saved.touch()
    with pytest.raises(StageError, match="ECC"):
        TrainingProcess(script, 60).run(script.saved, keeper, threading.Event())
    assert keeper.kept == []

"""Checkpoints by the clock and at a stop, of a program that saves nothing by itself."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from pfd_operator.contract.result import Reason
from pfd_worker.errors import StageError
from pfd_worker.training import process
from pfd_worker.training.on_request import REQUEST, all_requested, requested, requested_step
from pfd_worker.training.process import TrainingProcess


class Counts:
    """A step takes 50 ms; candidates are those of a hundred steps."""

    program, distributed = "sh", False

    def __init__(self, folder: Path, answers: bool = True) -> None:
        self.folder = folder
        self.answers = answers

    def command(self, resumed: Path | None) -> list[str]:
        begun = self.step_of(resumed) if resumed else 0
        answer = f"if [ -e {REQUEST} ]; then echo > part; mv part resume-$i.pt; rm {REQUEST}; fi"
        steps = f"for i in $(seq {begun + 1} 400); do sleep 0.05; {answer if self.answers else ':'}; done"
        return ["sh", "-c", f"echo > candidate-100.pt; {steps}"]

    def last_point(self) -> None:
        return None

    def checkpoints(self) -> list[Path]:
        return sorted(self.folder.glob("candidate-*.pt"))

    def step_of(self, checkpoint: Path) -> int:
        # the candidate of shell is there from the beginning
        return requested_step(checkpoint) or 1


class Keeper:
    def __init__(self, enough: int, stopping: threading.Event) -> None:
        self.enough = enough
        self.stopping = stopping
        self.kept: list[int] = []
        self.candidates: list[Path] = []

    def on_point(self, point):
        pass

    def on_checkpoint(self, path, step):
        assert path.exists()
        self.kept.append(step)
        if len(self.kept) == self.enough:
            self.stopping.set()

    def on_candidate(self, path, step):
        self.candidates.append(path)


def stopped(session: Counts, seconds: float, enough: int) -> tuple[Keeper, str]:
    stopping = threading.Event()
    keeper = Keeper(enough, stopping)
    if not enough:
        threading.Timer(1.5, stopping.set).start()
    with pytest.raises(StageError) as caught:
        TrainingProcess(session, seconds).run(None, keeper, stopping)
    assert caught.value.reason is Reason.PREEMPTED
    return keeper, caught.value.message


def test_checkpoints_are_asked_for_by_the_clock_and_are_no_candidates(tmp_path):
    keeper, _ = stopped(Counts(tmp_path), 1, enough=3)
    assert len(keeper.kept) == 4 and keeper.kept == sorted(keeper.kept) and keeper.kept[-1] < 100
    # a second, an answer and the next look at it: twenty steps each, more on a slow machine
    assert keeper.candidates == [tmp_path / "candidate-100.pt"]
    assert [requested_step(path) for path in all_requested(tmp_path)] == keeper.kept[-1:], "older ones are dropped"


def test_a_training_that_is_told_to_stop_loses_nothing(tmp_path):
    keeper, message = stopped(Counts(tmp_path), 300, enough=0)
    (step,) = keeper.kept
    assert step > 5 and f"goes on from step {step}." in message
    assert requested(tmp_path, step).exists()


def test_a_program_that_does_not_answer_is_ended_with_what_it_has(tmp_path, monkeypatch):
    monkeypatch.setattr(process, "ANSWER_SECONDS", 1)
    keeper, message = stopped(Counts(tmp_path, answers=False), 300, enough=0)
    assert keeper.kept == [1] and "goes on from step 1." in message

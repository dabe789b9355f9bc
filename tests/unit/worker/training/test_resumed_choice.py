"""The best checkpoint is the best of all attempts, whichever pod it came from."""

from __future__ import annotations

import math
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from pfd_operator.contract.result import Reason
from pfd_worker.errors import StageError, transient
from pfd_worker.frames import labelled
from pfd_worker.models.base import Prediction
from pfd_worker.store.checkpoints import clear_checkpoints
from pfd_worker.store.objects import DirectoryStore
from pfd_worker.team import ALONE
from pfd_worker.training import checkpoints, process
from pfd_worker.training.checkpoints import CheckpointStore
from pfd_worker.training.on_request import REQUEST
from pfd_worker.training.runner import Trained, TrainingRun

FRAMES = [labelled(Atoms("H", info={"sampling": "farthest"}), 0.0, np.zeros((1, 3))) for _ in range(20)]


class Wrong:
    """A model whose force error is written in its file."""

    def __init__(self, path: Path) -> None:
        self.error = float(path.read_text())

    def predict(self, frames):
        return [Prediction(0.0, np.full((len(atoms), 3), self.error), np.zeros((3, 3))) for atoms in frames]


class Session:
    """A training program that is a few lines of shell: step → force error of its checkpoint."""

    program, distributed, curve_file, steps = "sh", False, "curve", 40

    def __init__(self, folder: Path, errors: dict[int, float], ending: str) -> None:
        self.folder = folder
        self.errors = errors
        self.ending = ending

    def command(self, resumed):
        # the next checkpoint is there when this one was taken to the store, or has not been for 10 s
        store = self.folder.parent / "store/stages" / ("0" * 64) / "checkpoints"
        waits = f"for i in $(seq 100); do rm -f {REQUEST}; ls {store}/step-*%d.pt >/dev/null 2>&1 && break"
        taken = f"{waits}; sleep 0.1; done"
        lines = [f"echo {error} > part; mv part {step}.pt; {taken % step}" for step, error in self.errors.items()]
        return ["sh", "-c", "\n".join([*lines, self.ending])]

    def last_point(self):
        return None

    def checkpoints(self):
        return sorted(self.folder.glob("*.pt"), key=self.step_of)

    def checkpoint(self, step):
        return self.folder / f"{step}.pt"

    def step_of(self, checkpoint):
        return int(checkpoint.stem)

    def open(self, checkpoint):
        return Wrong(checkpoint)

    def strip(self, checkpoint, output):
        shutil.copyfile(checkpoint, output)


@pytest.fixture(autouse=True)
def no_last_checkpoint(monkeypatch):
    """A program that sleeps answers no request."""
    monkeypatch.setattr(process, "ANSWER_SECONDS", 0)


def attempt(
    folder: Path, errors: dict[int, float], ending: str, stop_at: int | None = None, away_at: int | None = None
) -> Trained | None:
    stopping = threading.Event()

    class Stops(CheckpointStore):
        def save(self, path, step):
            if step == away_at:
                raise transient(Reason.STORE_UNAVAILABLE, "away")
            super().save(path, step)

        def save_model(self, path, step):
            super().save_model(path, step)
            if step == stop_at:
                stopping.set()

    run = TrainingRun(
        folder=folder,
        begin=lambda frames, seed: Session(folder, errors, ending),
        team=ALONE,
        checkpoints=Stops(DirectoryStore(folder.parent / "store"), "0" * 64),
        checkpoint_seconds=0,
        validation_fraction=0.2,
        seed=1,
        progress=lambda percent, words: None,
        stopping=stopping,
    )
    return run.run(FRAMES, folder.parent / "model.pt")


def test_the_best_checkpoint_of_a_stopped_attempt_is_not_forgotten(tmp_path):
    with pytest.raises(StageError, match="goes on from step 20"):
        attempt(tmp_path / "1", {10: 0.1, 20: 0.9}, "sleep 60", stop_at=20)
    second = attempt(tmp_path / "2", {30: 0.5, 40: 0.7}, "exit 0")
    assert second is not None and (second.step, second.resumed_from_step) == (10, 20)
    assert (tmp_path / "model.pt").read_text() == "0.1\n"
    # what it had is there for a pod that is lost before it has committed
    third = attempt(tmp_path / "3", {}, "exit 1")
    assert third is not None and (third.step, third.resumed_from_step) == (10, 40)
    assert {point["step"] for point in third.validation} == {10, 20, 30, 40}


def test_models_of_steps_all_over_the_training_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "MODELS_KEPT", 4)
    objects = DirectoryStore(tmp_path / "store")
    store = CheckpointStore(objects, "0" * 64)
    given = tmp_path / "model.pt"
    given.write_text("a model")
    for step in range(0, 101, 10):
        store.save_model(given, step)
    store.fetch_models(lambda step: tmp_path / f"{step}.pt", below=100)
    kept = sorted(int(path.stem) for path in tmp_path.glob("[0-9]*.pt"))
    assert kept[0] == 0 and len(kept) == 3 and max(np.diff([*kept, 100])) <= 50
    clear_checkpoints(objects, "0" * 64)
    store.fetch_models(lambda step: tmp_path / "cleared.pt", below=100)
    assert not (tmp_path / "cleared.pt").exists()


def test_a_training_goes_on_while_the_store_is_away(tmp_path):
    trained = attempt(tmp_path / "1", {10: 0.3, 40: 0.5}, "exit 0", away_at=10)
    assert trained is not None and trained.step == 10
    with pytest.raises(StageError, match="away"):
        attempt(tmp_path / "other" / "1", {40: 0.1}, "exit 0", away_at=40)


def test_a_checkpoint_that_gives_no_numbers_is_left_out_and_named(tmp_path, caplog):
    trained = attempt(tmp_path / "1", {10: 0.4, 20: 0.3, 30: math.nan, 40: math.nan}, "exit 0")
    assert trained.step == 20 and [each["step"] for each in trained.validation] == [10, 20]
    assert "the checkpoint of step 40 is left out" in caplog.text and "learningRateStart" in caplog.text


def test_a_training_without_a_sound_checkpoint_ends_in_the_users_words(tmp_path):
    with pytest.raises(StageError) as caught:
        attempt(tmp_path / "1", dict.fromkeys((10, 20, 30, 40), math.nan), "exit 0")
    assert caught.value.reason is Reason.NOT_A_NUMBER

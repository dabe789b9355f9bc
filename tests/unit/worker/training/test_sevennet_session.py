"""Real trainings of a tiny SevenNet by sevenn's own trainer: to the end, stopped half-way, and failing."""

import shutil
import threading

import pytest

from pfd_operator.contract.result import Reason
from pfd_operator.contract.training import Training
from pfd_worker.errors import StageError
from pfd_worker.evaluation.errors import force_rmse, frame_errors
from pfd_worker.families import SEVENNET
from pfd_worker.team import ALONE
from pfd_worker.training import sevennet_session
from pfd_worker.training.process import TrainingProcess
from tests.unit.worker.tiny_pretrained import emt_frames
from tests.unit.worker.training_runs import run_in

pytestmark = pytest.mark.image


@pytest.fixture(scope="module")
def model(tiny_sevennet, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.pth"
    return path, SEVENNET.extract(tiny_sevennet, None, path, "spec.model").model_section


def training_run(folder, model, progress=lambda percent, message: None, stopping=None, **training):
    path, section = model
    settings = Training(**{"batch_size": 8, "validation_fraction": 0.2, **training})
    given = SEVENNET.base_input(settings, section)
    return run_in(
        folder,
        settings,
        lambda place, frames, seed: SEVENNET.fine_tune(place, given, path, frames, seed),
        progress,
        stopping,
    )


def error_of(path, frames):
    return force_rmse(frame_errors(frames, SEVENNET.open(path).predict(frames)))


def test_it_learns_and_keeps_the_best_by_validation(model, tmp_path):
    seen = []
    given = {"steps": 300, "learning_rate_start": 0.02, "batch_size": 9}
    run = training_run(tmp_path, model, lambda percent, message: seen.append(message), **given)
    outcome = run.run(emt_frames("Cu", 10, 0.1, seed=3), tmp_path / "model.pth")
    frames = emt_frames("Cu", 4, 0.1, seed=9)
    assert error_of(tmp_path / "model.pth", frames) < 0.5 * error_of(model[0], frames)
    assert (outcome.training_frames, outcome.validation_frames) == (9, 1)
    assert len(outcome.validation) == 20 and outcome.validation[-1]["step"] == 300
    assert outcome.step in {point["step"] for point in outcome.validation}
    assert outcome.curve.read_text().startswith("epoch,lr,trainset_")
    assert any("of 300" in message and "force RMSE" in message for message in seen)


def test_steps_are_rounded_up_to_whole_epochs_and_the_last_has_a_checkpoint(model, tmp_path):
    session = training_run(tmp_path, model, steps=119, batch_size=4).begin(emt_frames("Cu", 8, 0.1, seed=3), 1)
    assert session.steps == 120
    assert session.step_of(session.checkpoint(120)) == 120


def test_a_stopped_training_goes_on_from_its_checkpoint(model, tmp_path):
    stopping = threading.Event()
    frames = emt_frames("Cu", 10, 0.1, seed=3)

    def stop_midway(percent, message):
        if percent > 20:
            stopping.set()

    long = {"steps": 400, "checkpoint_seconds": 5}
    with pytest.raises(StageError) as caught:
        training_run(tmp_path, model, stop_midway, stopping, **long).run(frames, tmp_path / "model.pth")
    assert caught.value.reason is Reason.PREEMPTED
    shutil.rmtree(tmp_path / "training")
    outcome = training_run(tmp_path, model, **long).run(frames, tmp_path / "model.pth")
    assert 0 < outcome.resumed_from_step < 400 <= outcome.validation[-1]["step"]


def attempt(folder, model, resumed, watcher, stopping):
    import torch

    path, section = model
    folder.mkdir()
    training = Training(steps=360, batch_size=1, learning_rate_start=0.02)
    frames = emt_frames("Cu", 12, 0.1, seed=3)
    session = SEVENNET.fine_tune(folder, SEVENNET.base_input(training, section), path, frames, 1)
    start = shutil.copyfile(resumed, session.checkpoint(step_of(resumed))) if resumed else None
    TrainingProcess(session, 0, ALONE).run(start, watcher, stopping)
    return torch.load(session.checkpoint(360), weights_only=True)["model_state_dict"]


def step_of(checkpoint):
    return int(checkpoint.stem.rpartition("-")[2])


def test_a_training_that_is_stopped_within_an_epoch_ends_as_one_that_is_not(model, tmp_path, monkeypatch):
    monkeypatch.setattr(sevennet_session, "CHECKPOINTS_PER_TRAINING", 1)

    class Watcher:
        def __init__(self, stopping):
            self.stopping = stopping
            self.newest = None

        def on_point(self, point):
            pass

        def on_checkpoint(self, path, step):
            self.newest = path
            if step % 12 and stops < 2:
                self.stopping.set()

        def on_candidate(self, path, step):
            pass

    stops, resumed, watcher = 2, None, Watcher(threading.Event())
    at_once = attempt(tmp_path / "at once", model, None, watcher, watcher.stopping)
    for stops in range(2):
        watcher = Watcher(threading.Event())
        with pytest.raises(StageError, match="goes on from step") as caught:
            attempt(tmp_path / str(stops), model, resumed, watcher, watcher.stopping)
        assert caught.value.reason is Reason.PREEMPTED
        resumed = watcher.newest
    stops, watcher = 2, Watcher(threading.Event())
    in_parts = attempt(tmp_path / "last", model, resumed, watcher, watcher.stopping)
    assert all((at_once[key] == in_parts[key]).all() for key in at_once)


def test_a_failing_training_is_reported_with_its_last_lines(model, tmp_path):
    wrong = {"template": {"train": {"optimizer": "downhill"}}}
    with pytest.raises(StageError, match="downhill") as caught:
        training_run(tmp_path, model, steps=4, **wrong).run(emt_frames("Cu", 4, 0.1, seed=3), tmp_path / "model.pth")
    assert caught.value.reason is Reason.TRAINING_FAILED
    assert "`sevenn train` ended" in str(caught.value)

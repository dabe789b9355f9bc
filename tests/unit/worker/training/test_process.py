"""Real `dp train` children that end badly, and what is said of them."""

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from pfd_operator.contract.result import ExitCode, Reason
from pfd_operator.contract.training import Training
from pfd_worker.errors import StageError
from pfd_worker.models.checkpoint import extract_branch
from pfd_worker.models.deepmd import DeepmdModel
from pfd_worker.team import ALONE, Team
from pfd_worker.training import deepmd_settings, launch
from pfd_worker.training.deepmd_session import DeepmdSession
from pfd_worker.training.deepmd_settings import base_input, check_input
from pfd_worker.training.on_request import requested_step
from pfd_worker.training.process import TrainingProcess
from pfd_worker.training.recipe import Purpose
from tests.free_ports import free_port
from tests.unit.worker.tiny_pretrained import emt_frames

pytestmark = pytest.mark.image


class Silent:
    def on_point(self, point):
        pass

    def on_checkpoint(self, path, step):
        pass

    def on_candidate(self, path, step):
        pass


@pytest.fixture(scope="module")
def single(pretrained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("single")
    info = extract_branch(pretrained, "Hot", folder / "single.pt")
    return folder / "single.pt", info


def session_in(folder, single, training, frames=None):
    path, info = single
    frames = frames or emt_frames("Cu", 8, 0.1, seed=1)
    settings = base_input(training, info.model_section)
    return DeepmdSession(folder, settings, Purpose.FINE_TUNING, path, frames, seed=1)


def run(folder, single, training, frames=None, team=ALONE, checkpoint_seconds=60, watcher=None):
    session = session_in(folder, single, training, frames)
    TrainingProcess(session, checkpoint_seconds, team).run(None, watcher or Silent(), threading.Event())
    return session


class Keeps(Silent):
    """Remembers the steps of checkpoints by the clock."""

    def __init__(self):
        self.asked = []

    def on_checkpoint(self, path, step):
        self.asked += filter(None, [requested_step(path)])


@pytest.mark.parametrize("zero_stage", [0, 1], ids=["whole", "a part of the optimizer each"])
def test_two_nodes_train_one_model(tmp_path, single, monkeypatch, zero_stage):
    monkeypatch.setattr(deepmd_settings, "CHECKPOINTS_PER_TRAINING", 1)
    monkeypatch.setattr(launch, "PORT", free_port())
    training, keeper = Training(steps=200, template={"training": {"zero_stage": zero_stage}}), Keeps()
    folders = [tmp_path / str(rank) for rank in range(2)]
    for folder in folders:
        folder.mkdir()
    with ThreadPoolExecutor(2) as nodes:
        together = nodes.map(
            lambda rank: run(folders[rank], single, training, team=Team(2, rank), checkpoint_seconds=0, watcher=keeper),
            range(2),
        )
        first, second = together
    assert first.last_point().step == 200 and keeper.asked
    # the first one keeps the checkpoints and tells how it goes
    assert first.checkpoints() and not second.checkpoints() and second.last_point() is None


class StopsAll(Silent):
    """At the first point of the curve, as the drain of all nodes of a training does."""

    def __init__(self):
        self.stopping = threading.Event()

    def on_point(self, point):
        self.stopping.set()


def test_two_nodes_that_are_stopped_at_once_save_what_they_did(tmp_path, single, monkeypatch):
    monkeypatch.setattr(launch, "PORT", free_port())
    watcher = StopsAll()

    def stopped(rank):
        folder = tmp_path / str(rank)
        folder.mkdir()
        training = TrainingProcess(session_in(folder, single, Training(steps=100_000)), 3600, Team(2, rank))
        with pytest.raises(StageError) as caught:
            training.run(None, watcher, watcher.stopping)
        return caught.value

    with ThreadPoolExecutor(2) as nodes:
        first, second = nodes.map(stopped, range(2))
    assert first.reason is second.reason is Reason.PREEMPTED
    assert "goes on from step" in first.message and "goes on from the start" in second.message


def test_checkpoints_by_the_clock_change_neither_the_training_nor_what_is_chosen_of(tmp_path, single, monkeypatch):
    import torch

    # what was asked for goes on unless one to choose of is newer by then
    monkeypatch.setattr(deepmd_settings, "CHECKPOINTS_PER_TRAINING", 2)
    sessions, keeper = [], Keeps()
    for name, seconds in (("without", 3600), ("with", 0)):
        (tmp_path / name).mkdir()
        training = Training(steps=200)
        sessions.append(run(tmp_path / name, single, training, checkpoint_seconds=seconds, watcher=keeper))
    without, clocked = sessions
    assert keeper.asked, "nothing was saved by the clock"
    assert [path.name for path in clocked.checkpoints()] == [path.name for path in without.checkpoints()]
    first, second = (torch.load(each.checkpoint(200), weights_only=True)["model"] for each in sessions)
    assert all(torch.equal(first[key], second[key]) for key in first if key != "_extra_state")


class StopsSoon(Silent):
    """At the first checkpoint."""

    def __init__(self):
        self.stopping = threading.Event()

    def on_checkpoint(self, path, step):
        self.newest = path
        self.stopping.set()


def test_a_training_that_is_stopped_before_its_first_candidate_goes_on_from_there(tmp_path, single):
    training = Training(steps=100_000)
    step, saved = 0, None
    for attempt in range(2):
        folder, watcher = tmp_path / str(attempt), StopsSoon()
        folder.mkdir()
        session = session_in(folder, single, training)
        resumed = shutil.copyfile(saved, session.checkpoint(step)) if saved else None
        with pytest.raises(StageError, match="goes on from step") as caught:
            TrainingProcess(session, 1).run(resumed, watcher, watcher.stopping)
        saved = watcher.newest
        before, step = step, session.step_of(saved)
        assert caught.value.reason is Reason.PREEMPTED and before < step < 2000
        assert session.checkpoints() == []


def test_a_diverging_training_is_ended_at_once(tmp_path, single):
    training = Training(steps=100000, learning_rate_start=0.99, template={"loss": {"start_pref_f": 1e300}})
    with pytest.raises(StageError) as caught:
        run(tmp_path, single, training)
    assert caught.value.reason is Reason.NOT_A_NUMBER
    assert "training diverged" in str(caught.value)
    assert caught.value.exit_code is ExitCode.USER_ERROR


def test_a_failing_child_is_reported_with_its_last_lines(tmp_path, single):
    wrong = Training(steps=10, template={"learning_rate": {"type": "nothing of the kind"}})
    with pytest.raises(StageError) as caught:
        run(tmp_path, single, wrong)
    assert caught.value.reason is Reason.TRAINING_FAILED
    assert "`dp train` ended" in str(caught.value) and "nothing of the kind" in str(caught.value)


def test_fine_tuning_starts_from_what_the_branch_knows(tmp_path, single):
    """One step at a learning rate of next to nothing must leave the forces of the branch as they are."""
    session = run(tmp_path, single, Training(steps=1, learning_rate_start=1e-12, learning_rate_stop=1e-13))
    frames = emt_frames("Cu", 3, 0.1, seed=2)
    before = DeepmdModel(single[0]).predict(frames)
    after = session.open(session.checkpoint(1)).predict(frames)
    for old, new in zip(before, after, strict=True):
        assert abs(old.forces - new.forces).max() < 1e-6


EXPONENTIAL = {"learning_rate": {"type": "exp", "decay_steps": 1}}


@pytest.mark.parametrize(("template", "after_nine"), [({}, 0.55), (EXPONENTIAL, 0.126)], ids=["ours", "exponential"])
def test_the_learning_rate_falls_by_the_same_each_step_unless_the_template_has_another_schedule(
    tmp_path, single, template, after_nine
):
    training = Training(steps=20, learning_rate_start=1e-4, learning_rate_stop=1e-6, template=template)
    check_input(base_input(training, single[1].model_section))
    # its rows tell the rate that the step itself was taken with
    curve = np.genfromtxt(tmp_path / run(tmp_path, single, training).curve_file, names=True)
    assert curve["lr"][curve["step"] == 10] == pytest.approx(after_nine * 1e-4, rel=0.05)


def test_a_checkpoint_that_is_being_written_does_not_count(tmp_path, single):
    session = run(tmp_path, single, Training(steps=2))
    whole = session.checkpoint(2).read_bytes()
    session.checkpoint(3).write_bytes(whole[: len(whole) // 2])
    assert session.checkpoints()[-1] == session.checkpoint(2)

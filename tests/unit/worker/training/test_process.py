"""Real `dp train` children that end badly, and what is said of them."""

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
from pfd_worker.training.deepmd_session import DeepmdSession
from pfd_worker.training.deepmd_settings import base_input, check_input
from pfd_worker.training.process import TrainingProcess
from pfd_worker.training.recipe import Purpose
from tests.unit.worker.tiny_pretrained import emt_frames

pytestmark = pytest.mark.image


class Silent:
    def on_point(self, point):
        pass

    def on_checkpoint(self, path, step):
        pass


@pytest.fixture(scope="module")
def single(pretrained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("single")
    info = extract_branch(pretrained, "Hot", folder / "single.pt")
    return folder / "single.pt", info


def run(folder, single, training, frames=None, team=ALONE):
    path, info = single
    frames = frames or emt_frames("Cu", 8, 0.1, seed=1)
    settings = base_input(training, info.model_section)
    session = DeepmdSession(folder, settings, Purpose.FINE_TUNING, path, frames, seed=1)
    TrainingProcess(session, 60, team).run(None, Silent(), threading.Event())
    return session


def test_two_nodes_train_one_model(tmp_path, single):
    folders = [tmp_path / str(rank) for rank in range(2)]
    for folder in folders:
        folder.mkdir()
    with ThreadPoolExecutor(2) as nodes:
        together = nodes.map(lambda rank: run(folders[rank], single, Training(steps=20), team=Team(2, rank)), range(2))
        first, second = together
    assert first.last_point().step == 20
    # the first one keeps the checkpoints and tells how it goes
    assert first.checkpoints() and not second.checkpoints() and second.last_point() is None


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

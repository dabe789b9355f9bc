"""Real `dp train` children that end badly, and what is said of them."""

import json
import threading

import pytest
from tests.unit.worker.tiny_pretrained import emt_frames

from pfd_operator.contract.result import ExitCode, Reason
from pfd_operator.contract.settings import Training
from pfd_worker.errors import StageError
from pfd_worker.models.checkpoint import extract_branch
from pfd_worker.models.deepmd import DeepmdModel
from pfd_worker.training.dataset import write_deepmd_sets
from pfd_worker.training.process import TrainingProcess
from pfd_worker.training.settings import base_input, complete_input

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


def process(folder, single, training, **changes):
    path, info = single
    systems = write_deepmd_sets(emt_frames("Cu", 8, 0.1, seed=1), info.type_map, folder / "data")
    settings = complete_input(base_input(training, info.model_section), systems, 8, seed=1)
    settings["training"].update(changes)
    (folder / "input.json").write_text(json.dumps(settings))
    return TrainingProcess(folder, ["--finetune", str(path)], checkpoint_seconds=60)


def test_a_diverging_training_is_ended_at_once(tmp_path, single):
    training = Training(steps=100000, learning_rate_start=0.99, template={"loss": {"start_pref_f": 1e300}})
    with pytest.raises(StageError) as caught:
        process(tmp_path, single, training).run(Silent(), threading.Event())
    assert caught.value.reason in (Reason.NOT_A_NUMBER, Reason.TRAINING_FAILED)
    assert caught.value.exit_code is ExitCode.USER_ERROR


def test_a_failing_child_is_reported_with_its_last_lines(tmp_path, single):
    training = Training(steps=10)
    child = process(tmp_path, single, training, training_data={"systems": [str(tmp_path / "nothing")], "batch_size": 1})
    with pytest.raises(StageError) as caught:
        child.run(Silent(), threading.Event())
    assert caught.value.reason is Reason.TRAINING_FAILED
    assert "nothing" in str(caught.value)


def test_fine_tuning_starts_from_what_the_branch_knows(tmp_path, single):
    """One step at a learning rate of next to nothing must leave the forces of the branch as they are."""
    training = Training(steps=1, learning_rate_start=1e-12, learning_rate_stop=1e-13)
    child = process(tmp_path, single, training)
    child.run(Silent(), threading.Event())
    frames = emt_frames("Cu", 3, 0.1, seed=2)
    before = DeepmdModel(single[0]).predict(frames)
    after = DeepmdModel(tmp_path / "model.ckpt-1.pt").predict(frames)
    for old, new in zip(before, after, strict=True):
        assert abs(old.forces - new.forces).max() < 1e-6

import pytest

from pfd_operator.contract.student import StudentTraining
from pfd_operator.contract.training import Training
from pfd_worker.training.deepmd_session import DeepmdSession, train_command
from pfd_worker.training.deepmd_settings import base_input
from pfd_worker.training.recipe import Purpose

MODEL = {"type_map": ["Si"], "descriptor": {"type": "se_e2_a"}, "fitting_net": {}}


def test_a_student_batches_small_frames():
    settings = base_input(StudentTraining(batch_size=2), MODEL, Purpose.SCRATCH)
    assert settings["training"]["training_data"]["batch_size"] == "auto:64"
    assert settings["learning_rate"]["start_lr"] == 5e-3 and settings["learning_rate"]["stop_lr"] == 1e-5


def test_going_on_with_a_student_does_not_start_as_hot_as_from_scratch():
    hot = base_input(StudentTraining(), MODEL, Purpose.CONTINUATION)["learning_rate"]
    assert hot["start_lr"] == 1e-4
    ends_hot = base_input(StudentTraining(learning_rate_stop=5e-4), MODEL, Purpose.CONTINUATION)["learning_rate"]
    assert ends_hot["start_lr"] == ends_hot["stop_lr"] == 1e-4


def test_fine_tuning_is_the_default_and_counts_frames():
    settings = base_input(Training(batch_size=3), MODEL)
    assert settings == base_input(Training(batch_size=3), MODEL, Purpose.FINE_TUNING)
    assert settings["training"]["training_data"]["batch_size"] == 3


def test_only_students_count_their_neighbours():
    assert "--skip-neighbor-stat" in train_command(Purpose.FINE_TUNING, ["--finetune", "a.pt"])
    assert "--skip-neighbor-stat" not in train_command(Purpose.SCRATCH, [])


@pytest.mark.parametrize(
    ("purpose", "named"), [(Purpose.SCRATCH, True), (Purpose.FINE_TUNING, False), (Purpose.CONTINUATION, False)]
)
def test_a_start_that_does_not_fit_the_purpose_is_refused(tmp_path, purpose, named):
    start = tmp_path / "start.pt" if named else None
    with pytest.raises(ValueError, match=purpose.value):
        DeepmdSession(tmp_path, base_input(StudentTraining(), MODEL, purpose), purpose, start, [], seed=1)

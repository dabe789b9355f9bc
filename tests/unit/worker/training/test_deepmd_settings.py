from pathlib import Path

import pytest

from pfd_operator.contract.result import Reason
from pfd_operator.contract.student import StudentTraining
from pfd_operator.contract.training import Training
from pfd_worker.errors import StageError
from pfd_worker.training.deepmd_sets import DataFolder
from pfd_worker.training.deepmd_settings import OWNED_KEYS, base_input, complete_input
from pfd_worker.training.recipe import Purpose
from pfd_worker.training.template import merged

MODEL = {"type_map": ["Si"], "descriptor": {"type": "dpa2"}, "fitting_net": {}, "info": {"observed_type": ["Si"]}}


def test_template_is_laid_over_ours_key_by_key():
    template = {"learning_rate": {"decay_type": "cosine"}, "training": {"gradient_max_norm": 5}}
    settings = base_input(Training(steps=400, template=template), MODEL)
    assert settings["learning_rate"]["decay_type"] == "cosine" and settings["learning_rate"]["type"] == "wsd"
    assert settings["training"]["gradient_max_norm"] == 5 and settings["training"]["numb_steps"] == 400
    assert settings["training"]["save_freq"] == 10 and "info" not in settings["model"]


def test_another_schedule_of_the_template_keeps_the_rates_and_nothing_of_ours():
    exponential = {"type": "exp", "decay_steps": 7}
    rates = base_input(Training(template={"learning_rate": exponential}), MODEL)["learning_rate"]
    assert rates == {**exponential, "start_lr": 2e-4, "stop_lr": 1e-6}


@pytest.mark.parametrize("path", sorted(OWNED_KEYS))
def test_keys_that_decide_where_things_are_cannot_be_set(path):
    with pytest.raises(StageError) as caught:
        base_input(Training(template={path[0]: {path[1]: 1}}), MODEL)
    assert caught.value.reason is Reason.TRAINING_TEMPLATE_INVALID
    assert ".".join(path) in str(caught.value)


def test_all_labels_count_for_the_energy_shift():
    folders = [DataFolder(Path("a"), 50, 8), DataFolder(Path("b"), 7, 8)]
    settings = complete_input(base_input(Training(), MODEL), folders, force_rms=1.0, seed=3)
    assert settings["model"]["data_stat_nbatch"] == 57
    assert settings["training"]["seed"] == 3 and settings["training"]["training_data"]["systems"] == ["a", "b"]


@pytest.mark.parametrize("batch_size", [1, 16])
def test_frames_weigh_alike_however_few_can_share_a_batch(batch_size):
    folders = [DataFolder(Path("usual"), 160, 32), *(DataFolder(Path(f"rare-{n}"), 1, 31) for n in range(10))]
    base = base_input(Training(batch_size=batch_size), MODEL)
    shares = complete_input(base, folders, force_rms=1.0, seed=3)["training"]["training_data"]["sys_probs"]
    assert shares == pytest.approx([160 / 170] + 10 * [1 / 170])


def test_a_folder_of_small_frames_counts_batches_that_need_not_be_full():
    folders = [DataFolder(Path("crystals"), 40, 64), DataFolder(Path("of two atoms"), 1, 2)]
    base = base_input(StudentTraining(), MODEL, Purpose.SCRATCH)
    shares = complete_input(base, folders, force_rms=1.0, seed=3)["training"]["training_data"]["sys_probs"]
    assert shares[0] / shares[1] == pytest.approx(40 * 16)


def test_a_loss_in_the_template_is_all_of_it():
    loss = {"start_pref_e": 0.02, "start_pref_f": 1000}
    assert base_input(Training(template={"loss": loss}), MODEL)["loss"] == loss


@pytest.mark.parametrize(
    ("template", "deltas"),
    [
        ({}, [1.0, 0.6, 1.0]),
        ({"loss": {"use_huber": True}}, [1.0, 0.6, 1.0]),
        ({"loss": {"use_huber": True, "huber_delta": 0.01}}, 0.01),
        ({"loss": {"start_pref_f": 1000}}, None),
    ],
)
def test_force_errors_count_linearly_from_a_part_of_the_rms_force_on(template, deltas):
    base = base_input(Training(template=template), MODEL)
    loss = complete_input(base, [DataFolder(Path("a"), 1, 8)], force_rms=2.0, seed=3)["loss"]
    assert loss.get("huber_delta") == deltas


def test_merging_changes_neither_side():
    below, above = {"a": {"b": 1, "c": [1]}}, {"a": {"c": [2]}}
    assert merged(below, above) == {"a": {"b": 1, "c": [2]}}
    assert below == {"a": {"b": 1, "c": [1]}}

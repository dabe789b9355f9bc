import pytest

from pfd_operator.contract.result import Reason
from pfd_operator.contract.training import Training
from pfd_worker.errors import StageError
from pfd_worker.training.sevennet_settings import OWNED_KEYS, base_input, check_input, complete_input

MODEL = {"type_map": ["Al", "Cu"], "cutoff": 4.0, "channel": 4}


def test_the_learning_rate_falls_from_start_to_stop(tmp_path):
    base = base_input(Training(learning_rate_start=1e-3, learning_rate_stop=1e-5), MODEL)
    settings = complete_input(base, 20, 2, seed=3, checkpoint=tmp_path / "a.pth", resumed=False)
    train = settings["train"]
    assert train["optim_param"]["lr"] * train["scheduler_param"]["gamma"] ** 20 == pytest.approx(1e-5)
    assert (train["epoch"], train["per_epoch"], train["random_seed"]) == (20, 2, 3)


@pytest.mark.parametrize("resumed", [True, False])
def test_only_a_resumed_training_keeps_its_optimizer(tmp_path, resumed):
    settings = complete_input(base_input(Training(), MODEL), 5, 1, 1, tmp_path / "a.pth", resumed)
    start = settings["train"]["continue"]
    assert {start[f"reset_{what}"] for what in ("optimizer", "scheduler", "epoch")} == {not resumed}


def test_several_nodes_are_refused():
    with pytest.raises(StageError, match=r"spec\.training\.nodes: 2 nodes"):
        base_input(Training(nodes=2), MODEL)


def nested(path: tuple[str, ...]) -> dict:
    return {path[0]: nested(path[1:]) if path[1:] else 1}


@pytest.mark.parametrize("path", sorted(OWNED_KEYS))
def test_keys_of_ours_cannot_be_set(path):
    with pytest.raises(StageError) as caught:
        base_input(Training(template=nested(path)), MODEL)
    assert caught.value.reason is Reason.TRAINING_TEMPLATE_INVALID
    assert ".".join(path) in str(caught.value)


def test_a_template_cannot_make_it_another_model():
    with pytest.raises(StageError, match=r"model\.channel"):
        base_input(Training(template={"model": {"channel": 8}}), MODEL)
    kept = base_input(Training(template={"model": {"train_shift_scale": True}}), MODEL)
    assert kept["model"]["train_shift_scale"] is True and kept["model"]["channel"] == 4


@pytest.mark.image
@pytest.mark.parametrize(
    ("template", "named"),
    [
        ({"train": {"no_such_key": 1}}, "train.no_such_key"),
        ({"nothing": {}}, "nothing"),
        ({"train": {"force_loss_weight": "heavy"}}, "train"),
    ],
)
def test_what_sevenn_does_not_know_is_refused(template, named):
    with pytest.raises(StageError, match=named) as caught:
        check_input(base_input(Training(template=template), MODEL))
    assert caught.value.reason is Reason.TRAINING_TEMPLATE_INVALID


@pytest.mark.image
def test_our_own_input_is_accepted():
    check_input(base_input(Training(template={"train": {"force_loss_weight": 0.5}}), MODEL))

"""The same stages with SevenNet: fine-tuned by its own trainer, then the teacher of a student of deepmd-kit."""

import pytest

from pfd_operator.contract.result import Reason
from pfd_worker.errors import StageError
from pfd_worker.models.sevennet import SevennetModel
from tests.unit.worker.stages.distilling import LABEL, STUDENT, TRAINING, manifest_uri, select
from tests.unit.worker.stages.loop import (
    EXPLORATION,
    Loop,
    explore_params,
    measured,
    prepare_params,
    ref,
    two_iterations,
)

pytestmark = pytest.mark.image


@pytest.fixture(scope="module")
def fine_tuned(tmp_path_factory, tiny_sevennet):
    folder = tmp_path_factory.mktemp("sevennet-loop")
    params = prepare_params(folder, tiny_sevennet, model={"uri": f"file://{tiny_sevennet}"})
    run = two_iterations(Loop(folder), params)
    return run.loop, run.prepare, run.first, run.second


def test_baselines_hold_out_and_the_exploring_model_are_measured(fine_tuned):
    _, _, first, last = fine_tuned
    assert measured(first) == {"pretrained", "shifted", "holdout", "training", "best"}
    assert measured(last) == {"prequential", "farthest", "holdout", "training", "best"}
    errors = first.outcome.errors
    assert errors.pretrained.force_rmse == pytest.approx(errors.shifted.force_rmse, abs=1e-6)
    assert errors.pretrained.energy_rmse_per_atom != errors.shifted.energy_rmse_per_atom
    assert errors.best.force_rmse == min(errors.shifted.force_rmse, errors.holdout.force_rmse)
    assert last.outcome.training_frames == 18


def test_the_best_model_is_one_that_sevenn_opens(fine_tuned, tmp_path):
    loop, prepare, _, last = fine_tuned
    assert last.model_uri.endswith("best.pth")
    manifest = loop.manifest(last)
    assert {"model.pth", "best.pth", "lc.csv", "report.html"} <= set(manifest.files)
    loop.store.download(manifest.files["best.pth"].key, tmp_path / "best.pth")
    starts = loop.store.get(loop.manifest(prepare).files["starts.extxyz"].key)
    assert starts is not None and b"Cu" in starts
    assert SevennetModel(tmp_path / "best.pth").calculator().cutoff == 4.0


def test_it_teaches_a_student(fine_tuned, tmp_path):
    theirs, their_prepare, _, last = fine_tuned
    loop = Loop(tmp_path, uid="uid-student", seed=11)
    params = {
        "stage": "prepare",
        "model": {"uri": last.model_uri},
        "starts": manifest_uri(theirs, their_prepare.digest),
        "training": TRAINING,
        "student": STUDENT,
    }
    prepare = ref(loop.run(params))
    explored = {**explore_params("training"), "exploration": {**EXPLORATION, "pods": 1}}
    explore = loop.indexed(explored, 1, {"prepare": prepare, "model": prepare}, 1)
    chosen = select(loop, 1, {"prepare": prepare, "explore": explore}, 4, "training")
    labels = loop.indexed(LABEL, 1, {"select": chosen, "prepare": prepare}, 1)
    assert loop.manifest(labels, 0).summary["labels"][0]["sound"] == 4


@pytest.mark.parametrize(
    ("model", "reason", "words"),
    [
        ({"pretrained": "7net-imaginary"}, Reason.MODEL_NOT_FOUND, "7net-imaginary"),
        ({"uri": "TINY", "branch": "Hot"}, Reason.UNKNOWN_BRANCH, "no branch"),
        ({"uri": "DPA"}, Reason.NOT_A_CHECKPOINT, "not a SevenNet checkpoint"),
    ],
)
def test_a_wrong_model_is_refused_by_prepare(tmp_path, tiny_sevennet, pretrained, model, reason, words):
    renamed = tmp_path / "dpa.pth"
    renamed.write_bytes(pretrained.read_bytes())
    paths = {"TINY": f"file://{tiny_sevennet}", "DPA": f"file://{renamed}"}
    given = {key: paths.get(value, value) for key, value in model.items()}
    with pytest.raises(StageError, match=words) as caught:
        Loop(tmp_path).run(prepare_params(tmp_path, tiny_sevennet, model=given))
    assert caught.value.reason is reason


def test_an_element_it_does_not_know_is_named(tmp_path, tiny_sevennet):
    (tmp_path / "copper.extxyz").write_text(
        '2\nLattice="2.7 2.7 0 0 2.7 2.7 2.7 0 2.7" pbc="T T T"\nSi 0 0 0\nSi 1.35 1.35 1.35\n'
    )
    with pytest.raises(StageError, match="contains Si") as caught:
        Loop(tmp_path).run(prepare_params(tmp_path, tiny_sevennet, model={"uri": f"file://{tiny_sevennet}"}))
    assert caught.value.reason is Reason.UNKNOWN_ELEMENT

"""What real train stages write: two iterations with a real model, labels and training."""

import numpy as np
import pytest

from pfd_worker.evaluation.errors import force_rmse, frame_errors
from pfd_worker.frames import read_frames
from pfd_worker.models.deepmd import DeepmdModel
from tests.unit.worker.report.parsed import ParsedPage
from tests.unit.worker.stages.loop import ref

pytestmark = pytest.mark.image


@pytest.fixture(scope="module")
def trained(fine_tuned):
    return fine_tuned.loop, fine_tuned.first, fine_tuned.second


def test_both_stages_leave_a_report_with_their_own_numbers(trained, tmp_path):
    loop, first, second = trained
    history = loop.load_json(ref(second), "history.json")
    assert [r["trainingLabels"] for r in history["iterations"]] == [10, 18]
    for record, result in zip(history["iterations"], (first, second), strict=True):
        assert record["errors"]["holdout"]["forceRmse"] == result.outcome.errors.holdout.force_rmse
        assert record["bestIteration"] == result.outcome.best_iteration
    assert history["baselines"]["pretrained"]["forceRmse"] == first.outcome.errors.pretrained.force_rmse
    path = tmp_path / "report.html"
    loop.store.download(loop.manifest(second).files["report.html"].key, path)
    page = ParsedPage(path.read_text())
    assert {"figure-errors", "figure-parity-forces", "figure-parity-virial", "figure-map"} <= set(page.figures)
    assert "default/copper" in page.text and "copper/300K" in page.text


def test_the_points_of_the_report_are_those_of_the_model_that_is_handed_over(trained, tmp_path):
    loop, _, second = trained
    files = loop.manifest(second).files
    for name in ("best.pt", "holdout.extxyz"):
        loop.store.download(files[name].key, tmp_path / name)
    holdout = read_frames(tmp_path / "holdout.extxyz")
    predictions = DeepmdModel(tmp_path / "best.pt").predict(holdout)
    report = loop.load_json(ref(second), "report.json")
    forces = np.concatenate([predicted.forces.ravel() for predicted in predictions])
    np.testing.assert_allclose(report["holdout"]["forceComponents"]["predicted"], forces, rtol=1e-4, atol=1e-5)
    assert report["best"]["forceRmse"] == pytest.approx(force_rmse(frame_errors(holdout, predictions)), rel=1e-5)
    assert report["best"]["forceRmse"] == pytest.approx(second.outcome.errors.best.force_rmse, rel=1e-5)


def test_md_selection_and_costs_are_of_this_job(trained):
    loop, _, second = trained
    report = loop.load_json(ref(second), "report.json")
    (copper,) = report["dynamics"]["replays"]
    assert copper["trajectories"] == 2 and len(copper["msdAimd"]) == len(copper["msdModel"]) == 5
    assert 0 < copper["distance"][-1] < 0.5 and set(copper["overlap"]) == {"Cu-Cu"}
    assert report["dynamics"]["energyDrift"]["picoseconds"] > 0
    roles = report["features"]["roles"]
    assert roles.count(2) == 8 and roles.count(1) == 10 and roles.count(0) > 0
    assert report["spending"]["labels"]["paid"] == 24 and report["spending"]["budget"] is None
    first, newest = (record["cost"]["stages"] for record in report["history"]["iterations"])
    assert first.keys() == {"prepare", "explore", "select", "label", "train"} and "train" not in newest
    assert newest["explore"]["pods"] == 2 and first["train"]["seconds"] > 0

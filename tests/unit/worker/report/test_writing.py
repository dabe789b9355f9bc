"""The report's files from stage to stage, on a real store in a folder; the models are given by their predictions."""

import json

import numpy as np
import pytest

from pfd_operator.contract.location import StoreLocation
from pfd_operator.contract.outcome import ExplorationCounts
from pfd_operator.contract.stage import JobIdentity, StageRef, StageSpec
from pfd_worker.report.writing import REPORT_FILES, RoundResult, write_report
from pfd_worker.run import commit
from pfd_worker.stage_context import StageContext, StageOutput
from pfd_worker.store.location import open_store
from tests.unit.worker.report.parsed import ParsedPage
from tests.unit.worker.report.samples import errors_of, holdout_frames, predictions_for

HOLDOUT = holdout_frames(12)
EXPLORED = ExplorationCounts(candidates=120, novel=12, trajectories=8, exploded=1)


def train(folder, iteration, previous=None, force_error=0.1, best=0, new=10):
    """Write the report of a train stage that ended so, and commit it; return its context and its manifest."""
    location = StoreLocation(directory=f"file://{folder / 'store'}")
    workdir = folder / f"work-{iteration}"
    workdir.mkdir()
    inputs = {} if previous is None else {"train": StageRef(digest=previous.digest)}
    spec = StageSpec(
        job=JobIdentity(namespace="team", kind="FineTuneJob", name="copper", uid="uid-1"),
        iteration=iteration, attempt=1, seed=7, digest=f"{iteration:064x}", inputs=inputs, store=location,
        params={"stage": "train", "training": {"steps": 10}, "maxFailedFraction": 0.2},
    )  # fmt: skip
    context = StageContext(spec=spec, store=open_store(location), workdir=workdir)
    names = ("pretrained", "shifted", "holdout") if previous is None else ("prequential", "holdout")
    trained = RoundResult(
        reports={name: errors_of(HOLDOUT, force_error) for name in names},
        exploration=EXPLORED if iteration > 1 else ExplorationCounts(),
        force_error_bound={"p10": 0.1, "p50": 0.2, "p90": 0.3, "p100": 0.4} if iteration > 1 else None,
        holdout=HOLDOUT,
        best_predictions=predictions_for(HOLDOUT, force_error),
        best_iteration=best,
        dynamics=None,
        training_labels=10 + new * iteration,
        given_labels=2,
    )
    files = write_report(context, previous, trained)
    return context, commit(context, StageOutput(files=files), seconds=1.0)


def load(context, manifest, name):
    return json.loads(context.fetch(manifest, name).read_text())


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    _, first = train(folder, 0, force_error=0.3)
    _, second = train(folder, 1, first, force_error=0.2, best=1)
    context, third = train(folder, 2, second, force_error=0.15, best=2)
    return context, first, third


def test_the_history_is_carried_from_stage_to_stage(three):
    context, _, third = three
    history = load(context, third, "history.json")
    assert [r["iteration"] for r in history["iterations"]] == [0, 1, 2]
    assert [r["trainingLabels"] for r in history["iterations"]] == [10, 20, 30]
    assert [r["forceErrorBound"] and r["forceErrorBound"]["p50"] for r in history["iterations"]] == [None, None, 0.2]
    assert [r["exploration"] for r in history["iterations"]] == [{}, {}, EXPLORED.to_json()]
    assert [r["bestIteration"] for r in history["iterations"]] == [0, 1, 2]
    assert [sorted(r["errors"]) for r in history["iterations"]] == [["holdout"], *[["holdout", "prequential"]] * 2]
    assert set(history["baselines"]) == {"pretrained", "shifted"}
    errors = [r["errors"]["holdout"]["forceRmse"] for r in history["iterations"]]
    assert errors == sorted(errors, reverse=True)


def test_the_report_is_of_this_job_and_names_what_it_read(three):
    context, _, third = three
    report = load(context, third, "report.json")
    assert report["job"] == {"namespace": "team", "kind": "FineTuneJob", "name": "copper"}
    assert report["best"]["forceRmse"] == report["history"]["iterations"][2]["errors"]["holdout"]["forceRmse"]
    curve = report["learningCurve"]
    assert curve["exponent"] > 0 and curve["givenLabels"] == 2
    added = [record["trainingLabels"] - 2 for record in report["history"]["iterations"]]
    assert curve["referenceLabels"] == pytest.approx(np.exp(np.mean(np.log(added))))
    second = context.input("train")[0]
    read = {file["name"]: file["sha256"] for file in report["provenance"]["inputs"]}
    assert read == {name: file.sha256 for name, file in second.files.items()}
    assert report["provenance"]["packages"]["numpy"] == np.__version__
    page = ParsedPage(context.fetch(third, "report.html").read_text())
    assert "figure-learning" in page.figures and "team/copper" in page.text and read["report.json"] in page.text


def test_an_earlier_report_stays_as_it_was(three):
    context, first, _ = three
    assert [r["iteration"] for r in load(context, first, "history.json")["iterations"]] == [0]
    assert load(context, first, "report.json")["learningCurve"] is None


def test_the_same_stage_again_writes_the_same_bytes(three, tmp_path):
    _, first, _ = three
    _, again = train(tmp_path, 0, force_error=0.3)
    assert {n: f.sha256 for n, f in again.files.items()} == {n: f.sha256 for n, f in first.files.items()}


def test_the_plugin_fetches_what_is_written():
    from pfd_operator.cli.fetch import REPORT  # not in the worker's image, where this file is read too

    assert set(REPORT) == set(REPORT_FILES)

"""What workers of earlier versions have left is read, or missed in words that say what to do."""

import json
from pathlib import Path

import pytest

from pfd_operator.contract.outcome import PrepareOutcome
from pfd_operator.contract.result import ExitCode, Reason
from pfd_worker import stage_files
from pfd_worker.errors import StageError
from pfd_worker.store.left import give_todays_form
from pfd_worker.store.manifests import Manifest
from pfd_worker.summaries import PrepareSummary, TrainSummary

EARLIER = Path(__file__).parent / "earlier"
"""Manifests as the version before structures and squares of errors were kept has written them."""


def earlier(stage: str, without: str = "") -> Manifest:
    parsed = json.loads((EARLIER / f"{stage}.json").read_text())
    for left in (parsed["files"], parsed["summary"]):
        left.pop(without, None)
    return Manifest.from_bytes(json.dumps(parsed).encode())


def test_starts_stand_for_the_structures_that_were_not_kept():
    prepare = earlier("prepare")
    assert prepare.files[stage_files.STRUCTURES] == prepare.files[stage_files.STARTS]
    assert list(prepare.told(PrepareSummary)["systems"]) == ["copper"]
    assert prepare.result.outcome == PrepareOutcome()


def test_errors_of_the_whole_hold_out_are_no_squares_of_trajectories():
    told = earlier("train").told(TrainSummary)
    assert told["lowest"] == {} and told["feature_form"] == 1
    assert told["metrics"]["best"]["forceRmse"] == pytest.approx(0.0584, abs=1e-4)


def test_md_of_an_earlier_version_asked_for_what_it_gave_and_its_labels_weigh_alike():
    explore, select = {"trajectories": [{"frames": 5}, {"frames": 7, "asked": 9}]}, {}
    give_todays_form("explore", {}, explore)
    give_todays_form("select", {}, select)
    assert [trajectory["asked"] for trajectory in explore["trajectories"]] == [5, 9]
    assert select == {"asked_of_strata": {}}


@pytest.mark.parametrize(
    ("name", "ask"),
    [
        (stage_files.STARTS, lambda manifest: manifest.files[stage_files.STARTS]),
        (stage_files.STRUCTURES, lambda manifest: manifest.files[stage_files.STRUCTURES]),
        ("elements", lambda manifest: manifest.told(PrepareSummary)["elements"]),
    ],
    ids=["file", "file it stands for", "summary"],
)
def test_what_was_never_left_is_missed_in_words_for_the_user(name, ask):
    prepare = earlier("prepare", without=stage_files.STARTS if name == stage_files.STRUCTURES else name)
    with pytest.raises(StageError) as caught:
        ask(prepare)
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.USER_ERROR, Reason.ARTIFACT_LOST)
    for said in (f"prepare stage {prepare.digest[:12]} has left no {name}", "another version", "spec.restart"):
        assert said in caught.value.message

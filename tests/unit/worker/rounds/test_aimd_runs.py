"""What a round takes out of label stages; labels are those of EMT."""

import threading

import numpy as np
import pytest
from ase.calculators.emt import EMT

from pfd_worker import stage_files
from pfd_worker.errors import StageError
from pfd_worker.label_files import Failure
from pfd_worker.md.replay import replay, write_aimd
from pfd_worker.rounds.labels import aimd_runs, collect_labels
from pfd_worker.run import commit
from pfd_worker.stage_context import StageContext, StageOutput
from tests.unit.worker.rounds.prepared import selected
from tests.unit.worker.stages.loop import LABEL, TRAIN, Loop


@pytest.fixture
def context(tmp_path) -> StageContext:
    """A train stage that reads those labels."""
    loop = Loop(tmp_path)
    select = selected(loop)
    labels = loop.indexed(LABEL, 0, {"select": select}, 1)
    workdir = tmp_path / "train"
    workdir.mkdir()
    return StageContext(loop.spec(TRAIN, 0, {"select": select, "label": labels}), loop.store, workdir)


def test_aimd_runs_again_as_it_ran_if_the_model_is_the_reference(context):
    runs = aimd_runs(context, None, collect_labels(context, 0.0))
    assert [(run.system, run.timestep_fs, run.temperature_kelvin, len(run.frames)) for run in runs] == [
        ("copper", 4.0, 600.0, 5)
    ] * 2
    (found,) = replay(runs, EMT(), threading.Event())
    assert found.trajectories == 2 and found.distance[-1] < 1e-6
    assert np.sqrt(found.msd_reference[-1]) > 0.05


def test_one_that_failed_on_its_way_is_no_run(context):
    labels = collect_labels(context, 0.0)
    assert labels[-1].info["sampling"] == "aimd"
    assert [len(run.frames) for run in aimd_runs(context, None, labels[:-1])] == [5]


def test_one_that_failed_on_its_way_counts_as_failed_once(context, monkeypatch):
    labels = collect_labels(context, 0.0)
    failure = Failure(2, "key", "ScfNotConverged", "its last words")
    monkeypatch.setattr("pfd_worker.rounds.labels.read_labels", lambda *given: (labels[1:-1], [failure]))
    with pytest.raises(StageError, match="2 of 3 reference calculations have failed"):
        collect_labels(context, 0.5)
    assert collect_labels(context, 0.7) == labels[1:-1]


def test_later_rounds_take_what_the_last_one_kept(context, tmp_path):
    runs = aimd_runs(context, None, collect_labels(context, 0.0))
    write_aimd(tmp_path / stage_files.AIMD, runs)
    kept = commit(context, StageOutput(files={stage_files.AIMD: tmp_path / stage_files.AIMD}), 0.0)
    (found,) = replay(aimd_runs(context, kept, []), EMT(), threading.Event())
    assert found.trajectories == 2 and found.distance[-1] < 1e-6

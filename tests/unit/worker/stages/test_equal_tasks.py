"""Tasks with the same structure: one calculation, one entry in the books, and a label for each of them."""

import pytest
from ase.build import bulk

from pfd_operator.contract.stage import StageRef
from pfd_worker.errors import StageError
from pfd_worker.frames import read_frames
from pfd_worker.rounds.labels import collect_labels
from pfd_worker.stage_context import StageContext
from pfd_worker.store.ledger import Ledger
from tests.unit.worker.stages.loop import LABEL, TRAIN, Loop, aimd, single_point


def selected(loop: Loop, structures: str, trajectories: int = 0) -> StageRef:
    """Commit a select stage with a single point for each letter, equal ones for equal letters, and AIMD runs."""
    frames, tasks = [], []
    for number, letter in enumerate(structures + "z" * trajectories):
        frames.append(bulk("Cu", cubic=True))
        frames[-1].rattle(0.05, seed=ord(letter))
        tasks.append(single_point(number) if number < len(structures) else aimd(number, steps=3))
    return loop.selected(frames, tasks)


def collected(loop: Loop, select: StageRef, labels: StageRef) -> int:
    workdir = loop.folder / "train"
    workdir.mkdir()
    spec = loop.spec(TRAIN, 1, {"select": select, "label": labels})
    return len(collect_labels(StageContext(spec, loop.store, workdir), 0.0))


@pytest.mark.parametrize("pods", [1, 2])
def test_equal_tasks_are_computed_once_and_waste_nothing(tmp_path, pods):
    loop = Loop(tmp_path)
    select = selected(loop, "aaba")
    results = [loop.run(LABEL | {"framesPerPod": 4 // pods}, 1, {"select": select}, index) for index in range(pods)]
    assert Ledger(loop.store, "uid-1").count().model_dump() == {"paid": 2, "reused": 0, "failed": 0, "wasted": 0}
    for index, result in enumerate(results):
        keys = [entry["key"] for entry in loop.manifest(result, index).summary["labels"]]
        assert len(keys) == len(set(keys))
    path = tmp_path / "labels.extxyz"
    loop.store.download(loop.manifest(results[0], 0).files["labels.extxyz"].key, path)
    assert [atoms.info["trajectory"] for atoms in read_frames(path)] == [f"t{n}" for n in range(4 // pods)]


def test_labels_of_equal_tasks_are_none_that_failed(tmp_path):
    loop = Loop(tmp_path)
    select = selected(loop, "aab", trajectories=2)
    labels = loop.indexed(LABEL, 1, {"select": select}, 1)
    assert collected(loop, select, labels) == 9


def test_tasks_of_a_pod_that_ended_without_a_verdict_have_failed(tmp_path):
    loop = Loop(tmp_path)
    select = selected(loop, "aab", trajectories=2)
    params = LABEL | {"framesPerPod": 3}
    first = loop.run(params, 1, {"select": select}, 0)
    labels = StageRef(digest=str(first.digest), completions=2)
    with pytest.raises(StageError, match="2 of 5 reference calculations have failed"):
        collected(loop, select, labels)

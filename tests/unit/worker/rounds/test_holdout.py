"""Frames that another job was measured on, given to one that draws the same hold-out: it must not learn them."""

from __future__ import annotations

from ase import Atoms

from pfd_worker.preparation.data import given_data
from pfd_worker.stage_context import StageContext
from tests.unit.worker.rounds.prepared import iteration, prepared
from tests.unit.worker.stages.loop import TRAINING, Loop, ref

START = {"frames": 4, "representativeFraction": 1, "aimd": {"trajectories": 1, "steps": 3}}


def given_by(loop: Loop, *contents: bytes) -> list[Atoms]:
    """Return what prepare makes of a user's files."""
    addresses = []
    for number, content in enumerate(contents):
        path = loop.folder / f"given-{number}.extxyz"
        path.write_bytes(content)
        addresses.append({"uri": f"file://{path}"})
    spec = loop.spec({"stage": "prepare", "data": addresses, "training": TRAINING}, 0, {})
    return given_data(StageContext(spec, loop.store, loop.folder), spec.params.data, "data", {}, set())[0]


def test_the_hold_out_of_an_equal_job_is_not_learned_when_its_files_are_given(tmp_path):
    folders = [tmp_path / "former", tmp_path / "job"]
    for folder in folders:
        folder.mkdir()
    former, job = map(Loop, folders)
    first = iteration(former, 0, prepared(former), START, None)
    dataset, holdout = (
        former.store.get(former.manifest(first).files[name].key) for name in ("dataset.extxyz", "holdout.extxyz")
    )
    assert (first.outcome.training_frames, first.outcome.errors.holdout.frames, first.cautions) == (3, 4, [])

    prepare = prepared(job, given_by(job, dataset, holdout))
    result = iteration(job, 0, prepare, START, None)
    # its own AIMD, and that of the other job
    assert (result.outcome.training_frames, result.outcome.errors.holdout.frames) == (3 + 3, 4)
    (caution,) = result.cautions
    assert caution.reason == "DataInHoldOut" and "left out of training: 4 of spec.data[1]." in caution.message
    later = iteration(job, 1, prepare, {"frames": 2, "representativeFraction": 1}, ref(result))
    assert later.cautions == [caution], "it still holds"


def test_what_the_hold_out_lacks_is_remarked_in_every_iteration(tmp_path):
    loop = Loop(tmp_path)
    prepare = prepared(loop)
    first = iteration(loop, 0, prepare, {**START, "frames": 400}, None)
    (caution,) = first.cautions
    assert caution.reason == "FewCandidatesOfHoldOut" and "where 400 were to be chosen" in caution.message
    assert iteration(loop, 1, prepare, {"frames": 2, "representativeFraction": 1}, ref(first)).cautions == [caution]

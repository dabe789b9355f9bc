"""Rounds that measure by a hold-out of the user's: nothing is made for it, it stays, and nothing of it is learned."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.emt import EMT

from pfd_operator.contract.result import Reason, StageResult
from pfd_operator.contract.stage import StageRef
from pfd_worker.errors import StageError
from pfd_worker.frames import SOURCE, bare, labelled, read_frames
from tests.unit.worker.rounds.prepared import iteration, prepared, trained
from tests.unit.worker.stages.loop import LABEL, Loop, measured, ref

FIRST = {"stage": "select", "purpose": "hold-out", "frames": 0, "representativeFraction": 1}
LATER = {"frames": 4, "representativeFraction": 1}


def frames(count: int, about: dict[str, str], offset: float = 0.0) -> list[Atoms]:
    """Labelled by EMT, `offset` eV per atom off."""
    made = []
    for seed in range(count):
        atoms = bulk("Cu", cubic=True)
        atoms.rattle(0.08, seed=100 + seed)
        atoms.calc = EMT()
        made.append(labelled(atoms, atoms.get_potential_energy() + offset * len(atoms), atoms.get_forces()))
        made[-1].info |= {**about, "trajectory": f"{about['trajectory']}{f' part {seed}' if SOURCE in about else ''}"}
    return made


def holdout(offset: float = 0.0) -> list[Atoms]:
    name = "spec.holdout.data[0]"
    about = {"system": "copper", "stratum": "copper/holdout.data[0]", "purpose": "hold-out", "trajectory": name}
    return frames(6, {**about, SOURCE: name}, offset)


def data(offset: float = 0.0) -> list[Atoms]:
    about = {"system": "data", "stratum": "data", "purpose": "training", "trajectory": "spec.data[0]"}
    return frames(9, about, offset)


def first_round(loop: Loop, prepare: StageRef, **aimd: int) -> StageResult:
    """Run iteration 0 as the operator does: it explores nothing, and labels nothing but AIMD."""
    if not aimd:
        return trained(loop, 0, {"prepare": prepare})
    select = loop.run({**FIRST, "aimd": aimd}, 0, {"prepare": prepare})
    assert select.outcome.tasks == aimd["trajectories"]
    labels = loop.indexed(LABEL, 0, {"select": ref(select)}, 1)
    return trained(loop, 0, {"prepare": prepare, "select": ref(select), "label": labels})


def frames_of(loop: Loop, result: StageResult, name: str) -> list[Atoms]:
    path = loop.folder / name
    loop.store.download(loop.manifest(result).files[name].key, path)
    return read_frames(path)


def positions(found: Sequence[Atoms]) -> list[list[float]]:
    return [np.round(atoms.positions.ravel(), 6).tolist() for atoms in found]


def test_labels_of_aimd_are_measured_by_the_frames_of_the_user_in_all_iterations(tmp_path):
    loop = Loop(tmp_path)
    prepare = prepared(loop, holdout=holdout())
    first = first_round(loop, prepare, trajectories=2, steps=3)
    assert measured(first) == {"pretrained", "shifted", "holdout", "best"}
    assert (first.outcome.training_frames, first.outcome.errors.holdout.frames, first.cautions) == (6, 6, [])
    # each frame is a trajectory here
    assert first.outcome.errors.holdout.force_rmse_high is not None
    assert (first.outcome.holdout_strata, first.outcome.exploration.trajectories) == (["copper/holdout.data[0]"], None)
    second = iteration(loop, 1, prepare, LATER, ref(first))
    assert positions(frames_of(loop, second, "holdout.extxyz")) == positions(holdout())
    assert (second.outcome.training_frames, second.cautions) == (10, [])
    cost = loop.load_json(ref(second), "history.json")["iterations"][0]["cost"]
    assert set(cost["stages"]) == {"prepare", "select", "label", "train"}


def test_without_aimd_it_begins_with_the_data_alone(tmp_path):
    loop = Loop(tmp_path)
    prepare = prepared(loop, data()[6:], holdout())
    first = first_round(loop, prepare)
    assert (first.outcome.training_frames, first.outcome.errors.holdout.frames) == (3, 6)
    assert loop.load_json(ref(first), "history.json")["iterations"][0]["cost"]["labels"]["computed"] == 0
    second = iteration(loop, 1, prepare, LATER, ref(first))
    assert (second.outcome.training_frames, second.outcome.given_frames) == (7, 3)


def test_frames_of_data_that_are_in_it_are_not_learned(tmp_path):
    loop = Loop(tmp_path)
    # the first six of both are the same structures
    first = first_round(loop, prepared(loop, data(), holdout()))
    assert first.outcome.training_frames == 3
    (caution,) = first.cautions
    assert caution.reason == "DataInHoldOut" and "left out of training: 6 of spec.data[0]." in caution.message


def test_labels_of_the_job_that_are_in_it_are_not_learned(tmp_path):
    folders = [tmp_path / "former", tmp_path / "job"]
    for folder in folders:
        folder.mkdir()
    former, job = map(Loop, folders)
    prepare = prepared(former, holdout=holdout())
    first = first_round(former, prepare, trajectories=2, steps=1)
    second = iteration(former, 1, prepare, LATER, ref(first))
    seen = frames_of(former, second, "dataset.extxyz")
    # what the former job was trained on, a start and a frame of its MD, is the test set of one that goes the same way
    chosen = [seen[0], seen[-1], *holdout()]
    about = [atoms.info for atoms in holdout()]
    test_set = [labelled(bare(a), a.get_potential_energy(), a.get_forces()) for a in chosen]
    for atoms, info in zip(test_set, [about[0], about[1], *about], strict=True):
        atoms.info |= info
    prepare = prepared(job, holdout=test_set)
    first = first_round(job, prepare, trajectories=2, steps=1)
    assert (first.outcome.training_frames, len(first.cautions)) == (1, 1)
    second = iteration(job, 1, prepare, LATER, ref(first))
    assert second.outcome.training_frames == 1 + 3
    assert [caution.reason for caution in second.cautions] == ["DataInHoldOut"] * 2
    learned = positions(frames_of(job, second, "dataset.extxyz"))
    assert not [each for each in positions(test_set) if each in learned]


@pytest.mark.parametrize("aimd", [{"trajectories": 1, "steps": 3}, {}])
def test_another_zero_of_energy_than_that_of_the_first_computed_labels_is_refused(tmp_path, aimd):
    loop = Loop(tmp_path)
    given = [] if aimd else data(20.0)[6:]
    prepare = prepared(loop, given, holdout(20.0))
    with pytest.raises(StageError, match="eV per atom above those of the computed labels") as caught:
        first = first_round(loop, prepare, **aimd)
        assert not aimd, "its own labels tell it at once"
        iteration(loop, 1, prepare, LATER, ref(first))
    assert caught.value.reason is Reason.DATA_INVALID


def test_a_hold_out_in_another_unit_is_refused_before_anything_is_trained_on(tmp_path):
    loop, wrong = Loop(tmp_path), []
    for atoms in holdout():
        wrong.append(labelled(atoms, atoms.get_potential_energy() / units.Hartree, atoms.get_forces() / 51.4))
    with pytest.raises(StageError, match=r"^spec.holdout.data\[0\]: its forces are 5[12] times smaller") as refused:
        first_round(loop, prepared(loop, data(), wrong))
    assert refused.value.reason is Reason.DATA_INVALID

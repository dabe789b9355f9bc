"""A hold-out of the user's own: of which system, stratum and trajectory its frames are, and what is refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.io import write

from pfd_operator.contract.result import Reason
from pfd_worker.acceptance.dft import frames_of_the_student
from pfd_worker.errors import StageError
from pfd_worker.evaluation.sources import by_source
from pfd_worker.frames import energy_of, labelled, read_frames, write_frames
from pfd_worker.models.calculator import CalculatorModel
from pfd_worker.preparation.data import check_data
from pfd_worker.preparation.holdout import given_holdout
from pfd_worker.stage_context import StageContext
from pfd_worker.training.deepmd_sets import write_deepmd_sets
from tests.unit.worker.stages.loop import TRAINING, Loop


def frames(count: int, offset: float = 0.0, **info: Any) -> list[Atoms]:
    """Labelled by EMT, `offset` eV per atom off; each says what `info` has for it."""
    made = []
    for number in range(count):
        atoms = bulk("Cu", cubic=True)
        atoms.rattle(0.1, seed=number)
        atoms.calc = EMT()
        label = labelled(atoms, atoms.get_potential_energy() + offset * len(atoms), atoms.get_forces())
        label.info |= {name: value[number] if isinstance(value, list) else value for name, value in info.items()}
        made.append(label)
    return made


def given(folder: Path, *files: Sequence[Atoms], systems: Sequence[str] = ("copper",), **of_data: str) -> list[Atoms]:
    uris = []
    for content in files:
        # under a name of its own: what was fetched is not fetched again
        path = folder / f"test-{len(list(folder.iterdir()))}.extxyz"
        write(path, content)
        uris.append(f"file://{path}")
    return read(folder, uris, systems, **of_data)[0]


def read(
    folder: Path, uris: Sequence[str], systems: Sequence[str] = ("copper",), **of_data: str
) -> tuple[list[Atoms], dict[str, str]]:
    params = {
        "stage": "prepare",
        "systems": [{"name": name, "structures": "/nowhere/x.cif", "perturb": {}} for name in systems],
        "holdout": [{"uri": uri, **of_data} for uri in uris],
        "training": TRAINING,
    }
    loop, digests = Loop(folder), dict[str, str]()
    context = StageContext(loop.spec(params, 0, {}), loop.store, folder / "work")
    return given_holdout(context, context.spec.params, digests, set())[0], digests


def column(found: Sequence[Atoms], name: str) -> list[str]:
    return [atoms.info[name] for atoms in found]


@pytest.mark.parametrize("name", [r"C:\\md\\", r"_JSON \"a\\nb\""])
def test_no_name_of_theirs_makes_our_files_unreadable(tmp_path, name):
    path = tmp_path / "test.extxyz"
    write(path, frames(4, trajectory="NAME", stratum="a/NAME", sampling="representative"))
    path.write_text(path.read_text().replace("=NAME", f'="{name}"').replace("=a/NAME", f'="a/{name}"'))
    found, _ = read(tmp_path, [f"file://{path}"])
    write_frames(tmp_path / "holdout.extxyz", found)
    for before, after in zip(found, read_frames(tmp_path / "holdout.extxyz"), strict=True):
        assert after.info == before.info and energy_of(after) == pytest.approx(energy_of(before))


def test_frames_of_the_only_system_are_a_stratum_for_each_file_and_its_parts_are_trajectories(tmp_path):
    found = given(tmp_path, frames(20), frames(4))
    assert set(column(found, "system")) == {"copper"} and set(column(found, "purpose")) == {"hold-out"}
    assert Counter(column(found, "stratum")) == {"copper/holdout.data[0]": 20, "copper/holdout.data[1]": 4}
    # successive frames together
    first = column(found[:20], "trajectory")
    assert list(Counter(first).values()) == [3, 2, 3, 2, 3, 2, 3, 2] and first == sorted(first)
    assert len(set(column(found, "trajectory"))) == 8 + 4
    assert {source: len(rows) for source, rows in by_source(found).items()} == {
        "spec.holdout.data[0]": 20, "spec.holdout.data[1]": 4,
    }  # fmt: skip


def test_what_a_former_job_says_of_its_hold_out_is_kept(tmp_path):
    strata = ["si/300K/1bar", "si/1200.5K/-1e+07bar", "si/900K", "si/900K/aimd"]
    said = {"sampling": "representative", "system": "si", "stratum": strata, "trajectory": ["a", "a", "b", "b"]}
    found = given(tmp_path, frames(4, **said), frames(4, **said))
    assert column(found[:4], "stratum") == [stratum.replace("si", "copper") for stratum in strata]
    assert Counter(column(found, "trajectory")) == {
        f"spec.holdout.data[{number}] {name}": 2 for number in (0, 1) for name in "ab"
    }
    # this job's hold-out, given to the next one
    again = given(tmp_path, found)
    assert column(again, "stratum") == column(found, "stratum") and set(column(again, "sampling")) == {"representative"}
    assert list(Counter(column(again, "trajectory")).values()) == [2] * 4


@pytest.mark.parametrize("conditions", ["x" * 300, "e+K", "300K,600K/1bar", "300K/1bar/more", "12" * 150 + "K"])
def test_what_is_no_condition_of_a_job_is_a_stratum_by_its_file(tmp_path, conditions):
    found = given(tmp_path, frames(4, sampling="representative", stratum=f"copper/{conditions}"))
    assert set(column(found, "stratum")) == {"copper/holdout.data[0]"}


def test_a_file_of_anyone_may_say_of_which_trajectory_its_frames_are(tmp_path):
    found = given(tmp_path, frames(6, trajectory=[1, 1, 2, 2, 2.5, 2.5], stratum="hot"))
    assert Counter(column(found, "trajectory")) == {f"spec.holdout.data[0] {name}": 2 for name in ("1", "2", "2.5")}
    assert set(column(found, "stratum")) == {"copper/holdout.data[0]"}


def test_of_several_systems_frames_or_the_spec_say_which(tmp_path):
    both = ("bulk", "surface")
    found = given(tmp_path, frames(4, system=["bulk", "surface", "bulk", "surface"]), systems=both)
    assert column(found, "system") == ["bulk", "surface"] * 2
    assert set(column(given(tmp_path, frames(4, system="bulk"), systems=both, system="surface"), "system")) == {
        "surface"
    }
    # as a student's job looks for them
    assert len(frames_of_the_student(found, "the hold-out", ["Cu"], ["surface"]).frames) == 2
    for said in ({}, {"system": "other"}):
        words = r"spec\.holdout\.data\[0\]: nothing tells which of the systems \(bulk, surface\) its frame of Cu4 is of"
        with pytest.raises(StageError, match=words) as caught:
            given(tmp_path, frames(4, **said), systems=both)
        assert caught.value.reason is Reason.DATA_INVALID


def test_a_folder_of_deepmd_data_is_a_hold_out_as_a_file_is(tmp_path):
    write_deepmd_sets(frames(8), ["Cu"], tmp_path / "sets")
    found, digests = read(tmp_path, [f"file://{tmp_path}/sets/"])
    assert len(found) == 8 and set(digests) == {"holdout.data/0"}
    assert len(set(column(found, "trajectory"))) == 8


def test_too_few_frames_and_frames_without_a_label_are_refused(tmp_path):
    with pytest.raises(StageError, match=r"spec\.holdout\.data has 3 frames: give 4 to 10000"):
        given(tmp_path, frames(3))
    with pytest.raises(StageError, match=r"spec\.holdout\.data\[0\], frame 0 \(Cu4\): energy and forces are needed"):
        given(tmp_path, [bulk("Cu", cubic=True)] * 4)


def test_too_many_frames_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("pfd_worker.preparation.holdout.MOST_MEASURED_ON", 5)
    assert len(given(tmp_path, frames(5))) == 5
    with pytest.raises(StageError, match=r"spec\.holdout\.data has 6 frames: give 4 to 5") as caught:
        given(tmp_path, frames(4), frames(2))
    assert caught.value.reason is Reason.DATA_INVALID


def test_its_units_and_its_zero_of_energy_are_compared_with_those_of_data(tmp_path):
    model = CalculatorModel(EMT)
    data = frames(6)
    for atoms in data:
        atoms.info = {"system": "data", "stratum": "data", "trajectory": "spec.data[0]"}
    check_data(model, data + given(tmp_path, frames(4)), seed=1)
    with pytest.raises(
        StageError, match=r"spec\.holdout\.data\[0\]: its energies lie 20\.0 eV per atom above those of"
    ):
        check_data(model, data + given(tmp_path, frames(4, offset=20.0)), seed=1)

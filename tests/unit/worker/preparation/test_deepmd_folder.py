"""Folders of deepmd/npy data: found whole and below, refused by file, and read without trust."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from pfd_operator.contract.result import ExitCode, Reason
from pfd_worker.errors import StageError
from pfd_worker.frames import energy_of, labelled, virial_of
from pfd_worker.input_limits import InputLimits
from pfd_worker.preparation import deepmd_folder
from pfd_worker.preparation.data import given_data
from pfd_worker.stage_context import StageContext
from pfd_worker.store.objects import DirectoryStore, ObjectStore
from pfd_worker.store.s3 import S3Store
from pfd_worker.training.deepmd_sets import write_deepmd_sets
from tests.s3_server import KEYS, s3_server
from tests.unit.worker.stages.loop import TRAINING, Loop


@pytest.fixture
def systems(tmp_path) -> Path:
    """A folder of three systems: crystals with virial, one without, a cluster."""
    crystals = [labelled(shaken(seed), -3.0 - seed, np.full((4, 3), 0.1), np.diag([1.0, 2.0, 3.0])) for seed in (0, 1)]
    without = labelled(shaken(2), -5.0, np.full((4, 3), 0.1))
    cluster = labelled(Atoms("Cu2", [[0, 0, 0], [0, 0, 2.2]]), -1.0, [[0, 0, 1], [0, 0, -1]])
    write_deepmd_sets([*crystals, without, cluster], ["Al", "Cu"], tmp_path / "sets")
    return tmp_path / "sets"


def shaken(seed: int) -> Atoms:
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.1, seed=seed)
    return atoms


CRYSTALS = "with-virial/4-Cu"


def given(folder: Path, uri: str, store: ObjectStore | None = None) -> tuple[list[Atoms], dict[str, str]]:
    loop = Loop(folder)
    params = {"stage": "prepare", "data": [{"uri": uri}], "training": TRAINING}
    context = StageContext(loop.spec(params, 0, {}), store or loop.store, folder / "work")
    digests: dict[str, str] = {}
    return given_data(context, context.spec.params.data, "data", digests, set())[0], digests


def refused(folder: Path, systems: Path, store: ObjectStore | None = None) -> str:
    with pytest.raises(StageError) as caught:
        given(folder, f"file://{systems}/", store)
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.USER_ERROR, Reason.DATA_INVALID)
    return str(caught.value)


def test_systems_in_a_folder_are_data_as_extended_xyz_is(tmp_path, systems):
    frames, _ = given(tmp_path, f"file://{systems}/")
    assert [energy_of(atoms) for atoms in frames] == pytest.approx([-3.0, -4.0, -1.0, -5.0])
    assert [atoms.pbc.all() for atoms in frames] == [True, True, False, True]
    np.testing.assert_allclose(virial_of(frames[1]), np.diag([1.0, 2.0, 3.0]), atol=1e-9)
    assert [virial_of(atoms) is None for atoms in frames] == [False, False, True, True]
    assert frames[2].get_forces()[0] == pytest.approx([0, 0, 1])
    assert {(atoms.info["stratum"], atoms.info["trajectory"]) for atoms in frames} == {("data", "spec.data[0]")}


def test_one_system_and_one_below_a_name_with_brackets(tmp_path, systems):
    assert len(given(tmp_path / "a", f"file://{systems}/{CRYSTALS}/")[0]) == 2
    (systems / CRYSTALS).rename(systems / "Cu[111]*")
    assert len(given(tmp_path / "b", f"file://{systems}/")[0]) == 4


def test_content_decides_the_digest(tmp_path, systems):
    _, digests = given(tmp_path / "a", f"file://{systems}/")
    shutil.copytree(systems, tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "README").write_text("is not read")
    assert given(tmp_path / "b", f"file://{tmp_path}/elsewhere/")[1] == digests
    energies = tmp_path / "elsewhere" / CRYSTALS / "set.000" / "energy.npy"
    np.save(energies, np.load(energies) + 0.01)
    assert given(tmp_path / "c", f"file://{tmp_path}/elsewhere/")[1].keys() == digests.keys()
    assert given(tmp_path / "d", f"file://{tmp_path}/elsewhere/")[1] != digests


@pytest.mark.parametrize(
    "name",
    ["type.raw", "type_map.raw", *(f"set.000/{array}.npy" for array in ("box", "coord", "energy", "force"))],
)
def test_what_is_missing_is_named_with_its_system(tmp_path, systems, name):
    (systems / CRYSTALS / name).unlink()
    said = refused(tmp_path, systems)
    assert said.startswith(f"spec.data[0]: file://{systems}/{CRYSTALS}/ has no {name}. Each system of deepmd/npy needs")


def test_a_virial_is_in_all_sets_of_a_system_or_in_none(tmp_path, systems):
    shutil.copytree(systems / CRYSTALS / "set.000", systems / CRYSTALS / "set.001")
    assert len(given(tmp_path / "a", f"file://{systems}/")[0]) == 6
    (systems / CRYSTALS / "set.001" / "virial.npy").unlink()
    assert "has no set.001/virial.npy" in refused(tmp_path / "b", systems)


def test_a_folder_without_data_says_what_belongs_there(tmp_path):
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "coord.raw").write_text("0 0 0")
    assert "there are no deepmd/npy data at or below" in refused(tmp_path, tmp_path / "none")


def test_labels_of_spins_are_refused(tmp_path, systems):
    np.save(systems / CRYSTALS / "set.000" / "spin.npy", np.ones((2, 12)))
    assert f"{CRYSTALS}/ has spin.npy" in refused(tmp_path, systems)


def test_boxes_of_zeros_are_no_cell(tmp_path, systems):
    np.save(systems / CRYSTALS / "set.000" / "box.npy", np.zeros((2, 9)))
    said = refused(tmp_path, systems)
    assert f"{CRYSTALS}/ (Cu4) cannot be used: where it is periodic" in said and "a file nopbc" in said


def test_a_frame_that_is_not_finite_is_named_with_its_system(tmp_path, systems):
    path = systems / CRYSTALS / "set.000" / "energy.npy"
    np.save(path, np.array([-3.0, np.nan]))
    assert f"spec.data[0], frame 1 of file://{systems}/{CRYSTALS}/ (Cu4): energy" in refused(tmp_path, systems)


class Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_pickle_is_not_loaded(tmp_path, systems):
    trap = tmp_path / "executed"
    np.save(systems / CRYSTALS / "set.000" / "force.npy", np.array([Evil(trap)]), allow_pickle=True)
    assert f"{CRYSTALS}/ is not deepmd/npy that dpdata reads: Object arrays" in refused(tmp_path, systems)
    assert not trap.exists()


@pytest.mark.parametrize(
    ("limit", "most", "words"),
    [
        ("MOST_FILES", 5, "more than 5 objects are below"),
        ("LARGEST_BYTES", 150, "Split the system in several set.*"),
        ("LARGEST_IN_ALL_BYTES", 1000, "Give part of them"),
    ],
)
def test_number_and_sizes_are_limited_before_anything_is_fetched(tmp_path, systems, monkeypatch, limit, most, words):
    monkeypatch.setattr(deepmd_folder, limit, most)
    assert words in refused(tmp_path, systems)
    assert not (tmp_path / "work").exists()


class Hostile(DirectoryStore):
    """Has objects of any name, as S3 may."""

    def __init__(self, systems: Path, names: dict[str, str]) -> None:
        super().__init__(systems)
        self.names = names

    def sizes_below(self, uri, most):
        return dict.fromkeys(self.names, 1)

    def download_uri(self, uri, path):
        name = uri.removeprefix(f"file://{self.root}/")
        super().download_uri(f"file://{self.root}/{self.names[name]}", path)


def test_no_name_leads_out_of_the_folder(tmp_path, systems):
    real = {str(path.relative_to(systems)) for path in (systems / CRYSTALS).rglob("*") if path.is_file()}
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    for system in ("../../out/", "/abs/", "a/../../../", ""):
        names = {system + name.removeprefix(f"{CRYSTALS}/"): name for name in real}
        assert len(given(tmp_path, f"file://{systems}/", Hostile(systems, names))[0]) == 2
    after = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert all(path.is_relative_to(tmp_path / "work" / "inputs") for path in after - before)
    assert not Path("/abs").exists()


@pytest.fixture
def s3_store(tmp_path, monkeypatch) -> Path:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "s3").mkdir()
    with s3_server(tmp_path / "s3") as server:
        yield S3Store(server.make_bucket())


def test_a_folder_in_s3_is_listed_page_after_page(tmp_path, systems, s3_store):
    bucket = s3_store.uri("").removeprefix("s3://").partition("/")[0]
    shutil.copytree(systems, tmp_path / "s3" / bucket / "of mine" / "data")
    others = tmp_path / "s3" / bucket / "of mine" / "data" / "notes"
    others.mkdir()
    for number in range(1050):
        (others / f"{number}.txt").write_text("is not read")
    # whose name comes last, after the first thousand
    assert len(given(tmp_path, f"s3://{bucket}/of mine/data/", s3_store)[0]) == 4
    assert len(s3_store.sizes_below(f"s3://{bucket}/of mine/data/", 1030)) == 1030
    with pytest.raises(StageError, match="there are no deepmd/npy data at or below s3://"):
        given(tmp_path, f"s3://{bucket}/of/", s3_store)


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (InputLimits(10**6, atoms=3), "with-virial/4-Cu/ has 4 atoms in frame 0"),
        (InputLimits(10**6, frames=1), "with-virial/4-Cu/ has more than 1 frames"),
    ],
)
def test_frames_that_are_too_many_or_too_large_are_refused(tmp_path, systems, monkeypatch, limits, words):
    monkeypatch.setattr(deepmd_folder, "LABELLED", limits)
    assert words in refused(tmp_path, systems)

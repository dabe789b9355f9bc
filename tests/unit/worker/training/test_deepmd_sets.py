"""Frames as deepmd-kit data: what is kept on the way there, and on the way back."""

from pathlib import Path

import dpdata
import numpy as np
import pytest
from ase import Atoms

from pfd_worker.cells import ROOM_ANGSTROM
from pfd_worker.frames import energy_of, labelled, virial_of
from pfd_worker.training.deepmd_sets import read_deepmd_set, write_deepmd_sets


def frame(symbols: str, seed: int, virial: bool = True, pbc: bool | tuple[bool, bool, bool] = True) -> Atoms:
    rng = np.random.default_rng(seed)
    atoms = Atoms(
        symbols, positions=rng.uniform(0, 8, (4, 3)), cell=rng.normal(0, 0.5, (3, 3)) + 9 * np.eye(3), pbc=pbc
    )
    matrix = rng.normal(size=(3, 3))
    return labelled(atoms, rng.normal(), rng.normal(size=(4, 3)), matrix + matrix.T if virial else None)


def loaded(folder: Path) -> dict[str, np.ndarray]:
    return {path.stem: np.load(path) for path in sorted((folder / "set.000").glob("*.npy"))}


def test_frames_of_one_size_share_a_folder_whatever_their_composition(tmp_path):
    frames = [frame("Si3C", 1), frame("Si2C2", 2), frame("CSi3", 3), frame("SiC3", 4, virial=False)]
    with_virial, without = write_deepmd_sets(frames, ["C", "Ge", "Si"], tmp_path)
    assert (with_virial.frames, with_virial.atoms) == (3, 4) and (without.frames, without.atoms) == (1, 4)
    data = loaded(with_virial.path)
    assert data["real_atom_types"].tolist() == [[2, 2, 2, 0], [2, 2, 0, 0], [0, 2, 2, 2]]
    assert data["energy"].ravel() == pytest.approx([atoms.get_potential_energy() for atoms in frames[:3]])
    assert (with_virial.path / "type_map.raw").read_text().split() == ["C", "Ge", "Si"]
    assert "virial" in data and "virial" not in loaded(without.path)


def test_copies_are_of_the_frames_that_they_are_asked_for(tmp_path):
    frames = [frame("Si3C", 1), frame("Si4", 2), frame("SiC3", 3)]
    two, one = write_deepmd_sets(frames, ["C", "Si"], tmp_path, copies=[1, 2, 3])
    assert (two.frames, one.frames) == (4, 2)
    first, _, third = (energy_of(atoms) for atoms in frames)
    data = loaded(two.path)
    assert data["energy"].ravel().tolist() == pytest.approx([first, third, third, third])
    assert data["real_atom_types"].tolist() == [[1, 1, 1, 0]] + [[1, 0, 0, 0]] * 3
    assert data["force"][3].ravel() == pytest.approx(frames[2].get_forces().ravel())


def test_a_rare_element_has_a_folder_of_its_own(tmp_path):
    """Of which every process of a training, and so the statistics of the first, has a frame."""
    frames = [frame("Si2C2", 1), frame("SiC2Ge", 2), frame("SiC3", 3)]
    assert [folder.frames for folder in write_deepmd_sets(frames, ["C", "Ge", "Si"], tmp_path)] == [1, 2]


def test_frames_of_different_sizes_share_none(tmp_path):
    twice = frame("Si4", 1) * (2, 1, 1)
    larger = labelled(twice, -1.0, np.ones((8, 3)), np.eye(3))
    sizes = [folder.atoms for folder in write_deepmd_sets([frame("Si4", 1), larger], ["Si"], tmp_path)]
    assert sizes == [4, 8]


def test_a_cluster_keeps_out_of_the_folder_of_a_crystal_of_its_formula(tmp_path):
    crystal = frame("Si4", 1, virial=False)
    cluster = labelled(Atoms("Si4", positions=crystal.positions), -1.0, np.ones((4, 3)))
    for number, frames in enumerate([(crystal, cluster), (cluster, crystal)]):
        folders = [written.path for written in write_deepmd_sets(frames, ["Si"], tmp_path / str(number))]
        assert [len(loaded(folder)["energy"]) for folder in folders] == [1, 1]
        assert [(folder / "nopbc").exists() for folder in folders] == [False, True]
        assert np.linalg.det(loaded(folders[0])["box"].reshape(3, 3)) != 0


def test_a_slab_is_trained_on_without_its_image(tmp_path):
    slab = frame("Si4", 6, virial=False, pbc=(True, True, False))
    box = loaded(write_deepmd_sets([slab], ["Si"], tmp_path)[0].path)["box"].reshape(3, 3)
    areas = [np.linalg.norm(np.cross(cell[0], cell[1])) for cell in (box, slab.cell.array)]
    assert areas[0] == pytest.approx(areas[1])
    assert np.linalg.det(box) / areas[0] > ROOM_ANGSTROM


def test_what_does_not_depend_on_orientation_is_kept_exactly(tmp_path):
    source = frame("Si4", 5)
    data = loaded(write_deepmd_sets([source], ["Si"], tmp_path)[0].path)
    assert data["energy"].ravel()[0] == pytest.approx(source.get_potential_energy())
    assert np.linalg.norm(data["force"]) == pytest.approx(np.linalg.norm(source.get_forces()))
    assert np.trace(data["virial"].reshape(3, 3)) == pytest.approx(np.trace(source.info["virial"]))
    assert abs(np.linalg.det(data["box"].reshape(3, 3))) == pytest.approx(source.get_volume())


def test_what_is_read_back_is_what_was_written_but_for_its_orientation(tmp_path):
    frames = [frame("Si4", 1), frame("Si4", 2)]
    back = list(read_deepmd_set(write_deepmd_sets(frames, ["C", "Si"], tmp_path)[0].path))
    for before, after in zip(frames, back, strict=True):
        assert (energy_of(after), after.symbols.get_chemical_formula()) == (pytest.approx(energy_of(before)), "Si4")
        assert np.trace(virial_of(after)) == pytest.approx(np.trace(virial_of(before)))
        # a scalar of three tensors that turn together
        assert [work(after), strain_work(after)] == pytest.approx([work(before), strain_work(before)])
        np.testing.assert_allclose(after.get_all_distances(mic=True), before.get_all_distances(mic=True))


def work(atoms: Atoms) -> float:
    return float((atoms.get_forces() * atoms.positions).sum())


def strain_work(atoms: Atoms) -> float:
    return float(np.trace(atoms.cell.array @ virial_of(atoms) @ atoms.cell.array.T))


def test_a_cluster_and_a_slab_without_virials_come_back(tmp_path):
    cluster = labelled(Atoms("Si4", positions=frame("Si4", 1).positions), -1.0, np.ones((4, 3)))
    (back,) = read_deepmd_set(write_deepmd_sets([cluster], ["Si"], tmp_path)[0].path)
    assert not back.pbc.any() and virial_of(back) is None
    np.testing.assert_allclose(back.get_forces(), 1.0)


@pytest.mark.parametrize("form", ["deepmd/npy", "deepmd/npy/mixed"])
def test_frames_of_either_form_have_elements_of_their_own(tmp_path, form):
    systems = dpdata.MultiSystems(type_map=["C", "Ge", "Si"])
    for symbols in ("Si4", "Si2C2"):
        systems.append(dpdata.LabeledSystem(frame(symbols, len(symbols)), fmt="ase/structure"))
    systems.to(form, str(tmp_path))
    folders = [path.parent for path in tmp_path.rglob("type.raw")]
    back = {atoms.get_chemical_formula(): atoms for folder in folders for atoms in read_deepmd_set(folder)}
    assert back.keys() == {"Si4", "C2Si2"}
    assert energy_of(back["Si4"]) == pytest.approx(energy_of(frame("Si4", 3)))
    assert np.trace(virial_of(back["C2Si2"])) == pytest.approx(np.trace(virial_of(frame("Si2C2", 5))))


@pytest.mark.parametrize(
    ("elements", "kind", "words"),
    [("C Si", -1, "from -1 to 1, and type_map.raw has 2"), ("C Type_1", 1, "Type_1, which is no element")],
)
def test_types_without_an_element_are_refused(tmp_path, elements, kind, words):
    """A type of -1 is none, and not the last one."""
    folder = write_deepmd_sets([frame("Si4", 1)], ["C", "Si"], tmp_path)[0].path
    (folder / "type_map.raw").write_text(elements)
    np.save(folder / "set.000" / "real_atom_types.npy", np.array([[1, 1, 1, kind]]))
    with pytest.raises(ValueError, match=words):
        read_deepmd_set(folder)

import numpy as np
import pytest
from ase.build import bulk, graphene
from ase.io import write

from pfd_operator.contract.result import Reason
from pfd_operator.contract.systems import Perturb
from pfd_worker.input_limits import InputLimits
from pfd_worker.preparation.structures import read_structures
from pfd_worker.preparation.variations import perturbed, unvaried
from tests.unit.worker.preparation.refused import refused


@pytest.mark.parametrize("name", ["si.extxyz", "si.cif", "POSCAR", "poscar", "POSCAR.si", "si.vasp", "si.xsf"])
def test_formats_are_known_by_the_name(tmp_path, name):
    write(tmp_path / name, bulk("Si", cubic=True), format="vasp" if name == "poscar" else None)
    assert read_structures(tmp_path / name, "diamond")[0].get_chemical_formula() == "Si8"


def test_garbage_empty_files_and_overlaps_are_refused_by_name(tmp_path):
    (tmp_path / "bad.extxyz").write_text("3\nno lattice\nSi 0 0\n")
    error = refused(lambda: read_structures(tmp_path / "bad.extxyz", "diamond"))
    assert error.reason is Reason.STRUCTURE_UNREADABLE and "system diamond: bad.extxyz" in str(error)
    (tmp_path / "void.extxyz").write_text("")
    error = refused(lambda: read_structures(tmp_path / "void.extxyz", "s"))
    assert error.reason is Reason.STRUCTURE_UNREADABLE and "Empty file" in str(error)
    (tmp_path / "none.extxyz").write_text("0\n\n")
    error = refused(lambda: read_structures(tmp_path / "none.extxyz", "s"))
    assert error.reason is Reason.STRUCTURE_EMPTY and "system s: none.extxyz, frame 0" in str(error)
    atoms = bulk("Si", cubic=True)
    atoms.positions[1] = atoms.positions[0] + [0.4, 0, 0]
    write(tmp_path / "two.extxyz", [bulk("Si"), atoms])
    error = refused(lambda: read_structures(tmp_path / "two.extxyz", "diamond"))
    assert error.reason is Reason.ATOMS_OVERLAP
    assert "frame 1" in str(error) and "atoms 0 (Si) and 1 (Si)" in str(error) and "0.40 Å" in str(error)


def mixed(path, occupancies):
    atoms = bulk("Si", cubic=True)
    atoms.info["occupancy"] = {str(site): occupancies for site in range(8)}
    atoms.set_array("spacegroup_kinds", np.arange(8))
    write(path, atoms)
    return path


@pytest.mark.parametrize("name", ["mixed.cif", "mixed.extxyz"])
@pytest.mark.parametrize("occupancies", [{"Si": 0.5, "Ge": 0.5}, {"Si": 0.75}])
def test_a_disordered_crystal_is_not_read_as_a_pure_one(tmp_path, name, occupancies):
    error = refused(lambda: read_structures(mixed(tmp_path / name, occupancies), "alloy"))
    assert error.reason is Reason.STRUCTURE_UNREADABLE
    assert f"{name}, frame 0" in str(error) and "has fractional occupancies: give an ordered supercell" in str(error)


def test_rounded_occupancies_are_of_an_ordered_crystal(tmp_path):
    assert len(read_structures(mixed(tmp_path / "full.cif", {"Si": 0.999}), "diamond")[0]) == 8


def test_moments_and_net_charges_are_refused_not_dropped(tmp_path):
    atoms = bulk("Fe", cubic=True)
    atoms.set_initial_magnetic_moments([2.2, -2.2])
    write(tmp_path / "fe.traj", atoms)
    error = refused(lambda: read_structures(tmp_path / "fe.traj", "iron"))
    assert error.reason is Reason.STRUCTURE_UNREADABLE and "initial magnetic moments" in str(error)
    atoms = bulk("NaCl", "rocksalt", a=5.6)
    atoms.set_initial_charges([1.0, 0.0])
    write(tmp_path / "ion.traj", atoms)
    assert "its charge is +1.0 e" in str(refused(lambda: read_structures(tmp_path / "ion.traj", "salt")))


def test_charges_of_a_force_field_and_moments_of_zero_are_no_state_of_their_own(tmp_path):
    atoms = bulk("NaCl", "rocksalt", a=5.6)
    atoms.set_initial_charges([1.0, -1.0])
    atoms.set_initial_magnetic_moments([0.0, 0.0])
    write(tmp_path / "salt.traj", atoms)
    assert read_structures(tmp_path / "salt.traj", "salt")[0].get_chemical_formula() == "ClNa"


def test_a_left_handed_cell_becomes_the_same_crystal_in_a_right_handed_one(tmp_path):
    atoms = bulk("Si", cubic=True) * (1, 1, 2)
    atoms.rattle(0.1, seed=1)
    atoms.set_cell(atoms.cell.array[[1, 0, 2]])
    atoms.pbc = [True, False, True]
    assert atoms.cell.handedness == -1
    write(tmp_path / "left.extxyz", atoms)
    (found,) = read_structures(tmp_path / "left.extxyz", "silicon")
    assert found.cell.handedness == 1 and list(found.pbc) == [True, False, True]
    np.testing.assert_allclose(found.cell.lengths(), atoms.cell.lengths())
    assert np.allclose(found.get_all_distances(mic=True), atoms.get_all_distances(mic=True))


@pytest.mark.parametrize("pbc", ["T T F", "T T T"])
def test_a_sheet_as_ase_builds_it_gets_a_third_vector_and_a_crystal_without_one_is_refused(tmp_path, pbc):
    sheet = graphene(size=(2, 2, 1))
    assert not sheet.cell[2].any()
    sheet.pbc = [flag == "T" for flag in pbc.split()]
    path = tmp_path / "sheet.extxyz"
    write(path, sheet)
    path.write_text(path.read_text().replace('pbc="T T F"', f'pbc="{pbc}"'))
    if pbc == "T T T":
        assert "its cell vectors are zero or parallel" in str(refused(lambda: read_structures(path, "graphene")))
        return
    (read,) = read_structures(path, "graphene")
    assert read.cell.rank == 3 and read.pbc.tolist() == [True, True, False]
    np.testing.assert_allclose(read.cell[:2], sheet.cell[:2])
    perturb = Perturb(count=2, displacement=0.05)
    (start, *_) = perturbed(unvaried([read], perturb, "graphene"), perturb, "graphene", 1)
    assert len(start) == 8


def write_each(folder):
    """Write two crystals of two atoms as each kind of file."""
    crystals = [bulk("Si"), bulk("Si", a=5.5)]
    for name in ("si.extxyz", "si.xyz", "si.traj"):
        write(folder / name, crystals, format="extxyz" if name == "si.xyz" else None)
    write(folder / "si.extxyz.gz", crystals, format="extxyz")
    write(folder / "POSCAR", crystals[0])
    return ("si.extxyz", "si.xyz", "si.traj", "si.extxyz.gz", "POSCAR")


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (InputLimits(file_bytes=50), "MiB, and at most 0 MiB of a file are read"),
        (InputLimits(10**6, atoms=1), "has 2 atoms in frame 0, and a frame has at most 1"),
        (InputLimits(10**6, frames=1), "has more than 1 frames, and no more of a file are read"),
    ],
)
def test_what_is_too_large_is_refused_by_name(tmp_path, monkeypatch, limits, words):
    names = write_each(tmp_path)
    monkeypatch.setattr("pfd_worker.preparation.structures.STRUCTURES", limits)
    for name in names:
        if limits.frames > 1 or name != "POSCAR":
            error = refused(lambda name=name: read_structures(tmp_path / name, "diamond"))
            assert error.reason is Reason.STRUCTURE_UNREADABLE
            assert f"system diamond: {name} has " in str(error) and words in str(error)

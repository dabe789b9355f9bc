import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, graphene
from ase.io import write

from pfd_operator.contract.result import ExitCode, Reason
from pfd_operator.contract.systems import Perturb, Slab
from pfd_worker.cells import reference_cell
from pfd_worker.errors import StageError
from pfd_worker.structures import perturbed, read_structures, unvaried


def silicon():
    atoms = bulk("Si", cubic=True)
    atoms.info = {"frame": 0}
    return atoms


def refused(call) -> StageError:
    with pytest.raises(StageError) as caught:
        call()
    assert caught.value.exit_code is ExitCode.USER_ERROR
    return caught.value


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


def varied(structures: list[Atoms], perturb: Perturb, system: str, seed: int) -> list[Atoms]:
    return perturbed(unvaried(structures, perturb, system), perturb, system, seed)


def test_what_was_given_is_there_beside_its_variations():
    perturb = Perturb(count=2, supercell=(2, 1, 1), vacancies=1)
    (cell,) = unvaried([silicon()], perturb, "diamond")
    np.testing.assert_array_equal(cell.positions, silicon().repeat((2, 1, 1)).positions)
    np.testing.assert_array_equal(cell.cell.array, silicon().repeat((2, 1, 1)).cell.array)
    np.testing.assert_array_equal(cell.info.pop("reference_cell"), cell.cell.array)
    assert cell.info == {"system": "diamond", "frame": 0, "slab": False}
    assert all(len(atoms) == len(cell) - 1 for atoms in perturbed([cell], perturb, "diamond", seed=3))


def test_perturbation_is_seeded_and_as_large_as_asked():
    perturb = Perturb(count=40, displacement=0.1, strain=0.05, supercell=(2, 1, 1), vacancies=1)
    starts = varied([silicon()], perturb, "diamond", seed=3)
    again = varied([silicon()], perturb, "diamond", seed=3)
    assert len(starts) == 40 and {len(atoms) for atoms in starts} == {15}
    np.testing.assert_array_equal(starts[7].positions, again[7].positions)
    reference = silicon().repeat((2, 1, 1)).cell.array
    strains = np.array([np.linalg.solve(reference, atoms.cell.array) - np.eye(3) for atoms in starts])
    np.testing.assert_allclose(strains, strains.transpose(0, 2, 1), atol=1e-10)
    assert 0.03 < np.abs(strains).max() <= 0.05
    assert [atoms.info["start"] for atoms in starts] == list(range(40))
    assert all((reference_cell(atoms) == reference).all() for atoms in starts)


SALT = {"name": "NaCl", "crystalstructure": "rocksalt", "a": 5.64, "cubic": True}


def salt():
    atoms = bulk(**SALT)
    atoms.info = {"frame": 0}
    return atoms


def test_vacancies_are_of_the_elements_that_are_named():
    perturb = Perturb(count=30, vacancies=2, vacancy_elements=["Na"])
    starts = varied([salt()], perturb, "salt", seed=3)
    assert {atoms.get_chemical_formula() for atoms in starts} == {"Cl4Na2"}
    assert len({tuple(np.round(atoms.cell.lengths(), 6)) for atoms in starts}) == 30
    assert any(not np.allclose(atoms.positions[:2], starts[0].positions[:2], atol=1.0) for atoms in starts[1:]), (
        "always the same sites"
    )
    both = varied([salt()], Perturb(count=30, vacancies=2, vacancy_elements=["Na", "Cl"]), "salt", seed=3)
    any_ = varied([salt()], Perturb(count=30, vacancies=2), "salt", seed=3)
    for named, unnamed in zip(both, any_, strict=True):
        np.testing.assert_array_equal(named.positions, unnamed.positions)


@pytest.mark.parametrize(("elements", "words"), [(["Li"], "has 0 atoms"), (["Na"], "has 4 atoms")])
def test_vacancies_of_elements_that_are_too_few_are_refused_by_name(elements, words):
    error = refused(lambda: varied([salt()], Perturb(vacancies=5, vacancy_elements=elements), "salt", seed=1))
    assert error.reason is Reason.STRUCTURE_EMPTY
    for named in ("system salt", words, f"perturb.vacancyElements ({elements[0]})", "frame 0 (Cl4Na4)"):
        assert named in str(error)


@pytest.mark.parametrize(
    ("structure", "perturb", "mend"),
    [
        (bulk("Al"), Perturb(), "Set perturb.supercell, to [3, 3, 3] for example"),
        (bulk("Si"), Perturb(vacancies=1), "Set perturb.supercell"),
        (bulk("Al"), Perturb(slab=Slab(miller=(1, 1, 1), layers=1, vacuum=5)), "Set perturb.supercell"),
        (Atoms("H"), Perturb(), "Leave it out"),
    ],
    ids=["primitive cell", "what vacancies leave", "layer", "isolated atom"],
)
def test_a_single_atom_that_no_force_acts_on_is_no_start(structure, perturb, mend):
    structure.info = {"frame": 2}
    error = refused(lambda: unvaried([structure], perturb, "metal"))
    assert error.reason is Reason.STRUCTURE_EMPTY
    assert str(error).startswith("system metal: a start made of frame 2 (") and mend in str(error)
    if structure.pbc.any():
        enlarged = perturb.model_copy(update={"supercell": (2, 1, 1)})
        assert len(unvaried([structure], enlarged, "metal")) == 1


def test_displacements_have_the_asked_standard_deviation():
    perturb = Perturb(count=50, displacement=0.1, strain=0)
    moves = [atoms.positions - silicon().positions for atoms in varied([silicon()], perturb, "s", seed=1)]
    assert np.std(moves) == pytest.approx(0.1, rel=0.05)


def test_a_slab_has_vacuum_and_its_cell_is_not_strained():
    perturb = Perturb(count=2, slab=Slab(miller=(1, 0, 0), layers=2, vacuum=8.0))
    first, second = varied([silicon()], perturb, "surface", seed=1)
    assert first.cell.array[2, 2] - np.ptp(first.positions[:, 2]) > 14
    np.testing.assert_array_equal(first.cell.array, second.cell.array)
    assert first.info["slab"] and first.pbc.all()


def test_a_slab_of_what_is_no_crystal_is_refused():
    cluster = silicon()
    cluster.pbc = False
    perturb = Perturb(slab=Slab(miller=(1, 0, 0)))
    error = refused(lambda: varied([silicon(), cluster], perturb, "surface", seed=1))
    assert error.reason is Reason.STRUCTURE_UNREADABLE and "system surface: perturb.slab" in str(error)


def test_impossible_perturbations_say_what_to_lower():
    assert "perturb.vacancies" in str(refused(lambda: varied([silicon()], Perturb(vacancies=8), "s", seed=1)))
    error = refused(lambda: varied([silicon().repeat(2)], Perturb(displacement=1.0), "s", seed=1))
    assert error.reason is Reason.ATOMS_OVERLAP and "Lower perturb.displacement" in str(error)


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
    (start, *_) = varied([read], Perturb(count=2, displacement=0.05), "graphene", 1)
    assert len(start) == 8

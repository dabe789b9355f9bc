import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from pfd_operator.contract.result import Reason
from pfd_operator.contract.systems import Perturb, Slab
from pfd_worker.cells import reference_cell
from pfd_worker.preparation.variations import perturbed, unvaried
from tests.unit.worker.preparation.refused import refused


def silicon():
    atoms = bulk("Si", cubic=True)
    atoms.info = {"frame": 0}
    return atoms


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

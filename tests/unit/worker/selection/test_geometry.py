import time

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from pfd_worker.selection.geometry import closest_overlap, geometry_fault


def test_sound_crystal_has_no_fault():
    assert geometry_fault(bulk("Si", cubic=True), 0.6) is None


def test_overlap_names_the_pair_and_its_distance():
    atoms = bulk("Si", cubic=True)
    atoms.positions[3] = atoms.positions[5] + [0.0, 0.0, 0.8]
    overlap = closest_overlap(atoms, 0.6)
    assert overlap is not None
    assert {overlap.first, overlap.second} == {3, 5}
    assert overlap.distance_angstrom == pytest.approx(0.8)
    assert "0.80 Å" in overlap.describe(atoms) and "(Si)" in overlap.describe(atoms)


def test_periodic_images_count_also_of_the_atom_itself():
    atoms = Atoms("H2", positions=[[0.05, 0, 0], [4.95, 0, 0]], cell=[5, 5, 5], pbc=True)
    assert closest_overlap(atoms, 0.6) is not None
    atoms.pbc = False
    assert closest_overlap(atoms, 0.6) is None
    squeezed = Atoms("Si", cell=[1.2, 8, 8], pbc=True)
    assert "atoms 0 (Si) and 0 (Si)" in str(geometry_fault(squeezed, 0.6))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.positions.__setitem__((0, 0), np.nan), "not numbers"),
        (lambda a: a.set_cell(a.cell * 1.5, scale_atoms=True), "volume went from"),
        (lambda a: a.set_cell([a.cell[0], a.cell[1], a.cell[2] * 0.1], scale_atoms=True), "thinner"),
        (lambda a: a.set_cell([a.cell[0], a.cell[1], a.cell[1]]), "no volume"),
    ],
)
def test_broken_cells_and_numbers_are_named(change, message):
    atoms = bulk("Si", cubic=True)
    volume = atoms.get_volume()
    change(atoms)
    assert message in str(geometry_fault(atoms, 0.6, volume))


def test_a_frame_of_128_atoms_takes_well_under_a_tenth_of_a_second():
    atoms = bulk("Si", cubic=True).repeat((4, 2, 2))
    atoms.rattle(0.1, seed=1)
    geometry_fault(atoms, 0.6)
    begin = time.perf_counter()
    for _ in range(5):
        geometry_fault(atoms, 0.6)
    assert (time.perf_counter() - begin) / 5 < 0.1

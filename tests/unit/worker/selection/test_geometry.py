import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from pfd_worker.selection.geometry import geometry_fault
from pfd_worker.selection.overlaps import closest_overlap


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
    start = atoms.copy()
    change(atoms)
    assert message in str(geometry_fault(atoms, 0.6, start))


def test_soft_matter_may_be_compressed_and_is_told_what_to_do_where_it_collapses():
    start = bulk("K", a=5.33, cubic=True)
    for of_start, sound in ((0.4, True), (0.2, False), (1.9, True), (2.1, False)):
        atoms = start.copy()
        atoms.set_cell(atoms.cell * of_start ** (1 / 3), scale_atoms=True)
        fault = geometry_fault(atoms, 0.5, start)
        assert (fault is None) == sound
        assert sound or "give a structure of about this volume" in fault


def test_only_periodic_axes_have_a_length_and_a_height():
    assert geometry_fault(Atoms("Si", cell=[0, 0, 3], pbc=[False, False, True]), 0.6) is None
    assert geometry_fault(Atoms("H"), 0.6) is None


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ([[12, 0, 0], [90, 12, 0], [0, 0, 12]], "skewed: an edge stands at 8°"),
        ([3, 3, 90], "30 times as long"),
        ([[3.8, 0, 0], [1.9, 3.29, 0], [1.9, 1.1, 3.1]], None),
        ([4, 4, 30], None),
    ],
)
def test_shapes_of_cells(cell, message):
    fault = geometry_fault(Atoms("Si", cell=cell, pbc=True), 0.6)
    assert fault is None if message is None else message in str(fault)


def test_a_start_may_be_long_and_md_may_not_draw_it_out():
    start = Atoms("Si", cell=[3, 3, 90], pbc=True)
    assert geometry_fault(start, 0.6, start) is None
    drawn = Atoms("Si", cell=[2.6, 2.6, 120], pbc=True)
    assert "46 times as long" in str(geometry_fault(drawn, 0.6, start))


def test_rattled_crystals_are_sound():
    for seed in range(50):
        atoms = bulk("Si", cubic=True).repeat((4, 2, 2))
        atoms.rattle(0.1, seed=seed)
        assert geometry_fault(atoms, 0.6) is None

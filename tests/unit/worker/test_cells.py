import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from pfd_worker.cells import ROOM_ANGSTROM, periodic_cell


@pytest.mark.parametrize("pbc", [(True, True, False), (False, True, True), (True, False, True), (False, True, False)])
@pytest.mark.parametrize("height", [0.0, 3.0, 80.0])
def test_images_are_far_apart_along_vectors_without_periods_and_the_others_are_kept(pbc, height):
    atoms = Atoms("Si8", positions=np.random.default_rng(3).uniform(-2, 9, (8, 3)), pbc=pbc)
    periodic, bare = np.flatnonzero(pbc), np.flatnonzero(~np.array(pbc))
    cell = np.array([[6.0, 0.2, 0.1], [3.0, 5.0, -0.3], [0.4, 0.5, 7.0]])
    cell[bare] *= height / 7
    atoms.cell = cell
    roomy = periodic_cell(atoms)
    np.testing.assert_array_equal(roomy[periodic], cell[periodic])
    assert np.linalg.det(roomy) > 0
    for axis in bare:
        direction = roomy[axis] / np.linalg.norm(roomy[axis])
        np.testing.assert_allclose(roomy[np.arange(3) != axis] @ direction, 0, atol=1e-12)
        assert np.linalg.norm(roomy[axis]) >= np.ptp(atoms.positions @ direction) + ROOM_ANGSTROM - 1e-9


def test_the_cell_of_a_crystal_is_its_own():
    atoms = bulk("Si")
    np.testing.assert_array_equal(periodic_cell(atoms), atoms.cell.array)

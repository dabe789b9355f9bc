import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule

from pfd_worker.acceptance.supercell import supercell_of_size
from pfd_worker.cells import cell_heights


@pytest.mark.parametrize(
    ("base", "size", "atoms"),
    [
        (bulk("Cu", cubic=True), 108, 108),
        (bulk("Cu", cubic=True), 500, 500),
        (bulk("Cu", cubic=True), 4000, 4000),
        (bulk("Si", cubic=True), 108, 96),
        (bulk("Si", cubic=True), 500, 512),
        (bulk("Si", cubic=True), 4000, 4096),
        (bulk("Cu", cubic=True).repeat(5), 108, 500),
    ],
)
def test_the_size_is_near_what_was_asked_and_the_cell_compact(base, size, atoms):
    made = supercell_of_size(base, size)
    assert len(made) == atoms
    assert cell_heights(made).max() / cell_heights(made).min() <= 1.5


def test_only_periodic_directions_are_repeated():
    wire = bulk("Cu", cubic=True)
    wire.pbc = (True, False, False)
    made = supercell_of_size(wire, 40)
    assert len(made) == 40
    np.testing.assert_allclose(made.cell.lengths(), wire.cell.lengths() * [10, 1, 1])
    assert len(supercell_of_size(molecule("H2O"), 100)) == 3
    chain = Atoms("C", cell=[[0, 0, 0], [0, 0, 0], [0, 0, 2.5]], pbc=(False, False, True))
    assert len(supercell_of_size(chain, 12)) == 12

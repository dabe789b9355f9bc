"""Meshes of k-points."""

import numpy as np
from ase.build import bulk

from pfd_worker.labelers.k_points import k_mesh


def test_divisions_follow_the_cell() -> None:
    cell = bulk("Si", cubic=True).cell.array
    assert k_mesh(cell, 2 * np.pi / 5.43 / 2) == [2, 2, 2]
    assert k_mesh(cell * [[2], [1], [1]], 2 * np.pi / 5.43 / 2) == [1, 2, 2]
    assert k_mesh(cell, 100) == [1, 1, 1]

import pytest
from ase import Atoms

from pfd_worker.selection.pair_distances import PairDistances, named, numbers_of, shortest_distances


def test_the_shortest_distance_of_each_pair_of_elements_in_all_frames():
    near = Atoms("OHH", positions=[[0, 0, 0], [0.9, 0, 0], [0, 1.1, 0]])
    far = Atoms("OHO", positions=[[0, 0, 0], [1.0, 0, 0], [0, 2.8, 0]])
    found = {named(elements): distance for elements, distance in shortest_distances([near, far]).items()}
    assert found == pytest.approx({"H-O": 0.9, "H-H": (0.9**2 + 1.1**2) ** 0.5, "O-O": 2.8})
    assert {numbers_of(elements) for elements in shortest_distances([far])} == {(8, 8), (1, 8)}


def test_an_image_of_another_atom_counts_and_one_of_itself_does_not():
    pair = Atoms("Cu2", positions=[[0.5, 0, 0], [3.5, 0, 0]], cell=[4, 9, 9], pbc=True)
    assert shortest_distances([pair]) == pytest.approx({29 * 128 + 29: 1.0})
    assert PairDistances.of(Atoms("Cu", cell=[3, 3, 3], pbc=True)).shortest() == shortest_distances([]) == {}

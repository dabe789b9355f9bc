import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from pfd_worker.cells import cell_heights
from pfd_worker.md.cells import height, short_cells, without_pressure


def frame(system: str, length: float, pbc: bool | list[bool] = True) -> Atoms:
    atoms = Atoms("Si", cell=[length, 20, 20], pbc=pbc)
    atoms.info["system"] = system
    return atoms


def test_the_height_is_that_between_faces_not_the_length_of_an_edge():
    # the primitive cell of fcc: edges a/√2, faces a/√3 apart
    copper = bulk("Cu", "fcc", a=3.6)
    np.testing.assert_allclose(cell_heights(copper), 3.6 / np.sqrt(3))
    assert height(copper) == pytest.approx(3.6 / np.sqrt(3))


def test_only_periodic_directions_count():
    assert height(frame("slab", 5, pbc=[False, True, True])) == pytest.approx(20)
    assert height(frame("molecule", 5, pbc=False)) == float("inf")
    assert height(Atoms("C", cell=[0, 0, 2.5], pbc=[False, False, True])) == pytest.approx(2.5)


def test_a_system_has_no_pressure_if_every_start_of_it_keeps_its_cell():
    cut = frame("cut", 20)
    cut.info["slab"] = True
    starts = [frame("bulk", 5), frame("slab", 5, pbc=[True, True, False]), frame("molecule", 9, pbc=False), cut]
    assert without_pressure(starts) == ["cut", "molecule", "slab"]
    assert without_pressure([*starts, frame("molecule", 9)]) == ["cut", "slab"]


def test_systems_are_named_with_their_shortest_cell():
    caution = short_cells([frame("large", 12), frame("small", 9), frame("small", 8.9), frame("tiny", 5)], cutoff=5)
    assert caution is not None
    assert caution.reason == "CellsShorterThanTwiceTheCutoff"
    assert "cutoff of 5 Å: tiny 5.0 Å, small 8.9 Å." in caution.message
    assert "large" not in caution.message


def test_many_systems_fit_into_a_message():
    caution = short_cells([frame(f"a-system-with-a-name-as-long-as-allowed-{n}"[:40], 5) for n in range(9)], 6)
    assert caution is not None
    assert len(caution.message) <= 320


def test_long_cells_need_no_word():
    assert short_cells([frame("large", 10)], cutoff=5) is None

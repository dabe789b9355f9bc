import numpy as np
import pytest
from ase.build import bulk

from pfd_worker.models.base import Prediction, model_calculator


def stretched(atoms):
    atoms.set_cell(atoms.cell.array * (1 + 1e-15))


def moved(atoms):
    atoms.positions[1, 2] = np.nextafter(atoms.positions[1, 2], np.inf)


def swapped(atoms):
    atoms.symbols[0] = "Ag"


def opened(atoms):
    atoms.pbc = [True, True, False]


@pytest.mark.parametrize("change", [stretched, moved, swapped, opened])
def test_a_frame_is_computed_once_and_again_after_the_least_change(change):
    asked = []

    def predict(atoms):
        asked.append(atoms.copy())
        return Prediction(float(len(asked)), np.full((4, 3), 0.5), np.diag([1.0, 2.0, 3.0]))

    atoms = bulk("Cu", cubic=True)
    atoms.calc = model_calculator(predict)
    for _ in range(2):
        assert atoms.get_potential_energy() == 1.0
        np.testing.assert_array_equal(atoms.get_forces(), 0.5)
        np.testing.assert_allclose(atoms.get_stress()[:3], -np.array([1.0, 2.0, 3.0]) / atoms.get_volume())
    change(atoms)
    assert atoms.get_potential_energy() == 2.0
    assert len(asked) == 2

"""Velocities at random: their temperature, and cells that have hardly any."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk

from pfd_worker.velocities import draw_velocities


@pytest.mark.parametrize("repetitions", [(1, 1, 1), (2, 2, 1)])
def test_the_degrees_of_freedom_without_drift_have_the_temperature_asked_for(repetitions):
    atoms = bulk("Si") * repetitions
    rng = np.random.default_rng(3)
    found = []
    for _ in range(2000):
        draw_velocities(atoms, 300, rng)
        found.append(2 * atoms.get_kinetic_energy() / (3 * (len(atoms) - 1) * units.kB))
    assert np.abs(atoms.get_momenta().sum(axis=0)).max() < 1e-12
    assert np.mean(found) == pytest.approx(300, rel=0.05)


def test_one_atom_stands_still():
    atoms = Atoms("Al", cell=[2.5] * 3, pbc=True)
    for seed in range(20):
        draw_velocities(atoms, 300, np.random.default_rng(seed))
        np.testing.assert_allclose(atoms.get_momenta(), 0, atol=1e-12)

"""The k-d tree against ASE's neighbour list."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.data import covalent_radii
from ase.neighborlist import neighbor_list
from hypothesis import given
from hypothesis import strategies as st

from pfd_worker.selection.overlaps import closest_overlap


def random_frame(seed: int) -> Atoms:
    rng = np.random.default_rng(seed)
    cell = np.diag(rng.uniform(1.5, 9, 3)) + rng.uniform(-1, 1, (3, 3)) * rng.choice([0, 1])
    count = int(rng.integers(1, 12))
    # positions far outside the cell, as unwrapped MD has them
    positions = rng.uniform(-2, 3, (count, 3)) @ cell
    return Atoms(rng.choice([1, 8, 14, 55], count), positions, cell=cell, pbc=rng.random(3) < 0.7)


def reference_ratio(atoms: Atoms, factor: float) -> float | None:
    radii = covalent_radii[atoms.numbers] * factor
    first, second, distances = neighbor_list("ijd", atoms, radii)
    return float((distances / (radii[first] + radii[second])).min()) if len(distances) else None


@given(st.integers(0, 10**6), st.sampled_from([0.3, 0.6, 1.2]))
def test_the_closest_pair_is_what_ases_neighbour_list_says(seed, factor):
    atoms = random_frame(seed)
    found, expected = closest_overlap(atoms, factor), reference_ratio(atoms, factor)
    if found is None:
        assert expected is None
    else:
        assert found.distance_angstrom / found.allowed_angstrom == pytest.approx(expected, abs=1e-9)


def test_no_atoms_and_a_sound_crystal_have_no_overlap():
    assert closest_overlap(Atoms(), 0.6) is None
    assert closest_overlap(bulk("Si"), 0.6) is None


def test_hydrogen_may_be_closer_than_heavy_atoms_of_the_same_frame():
    water = molecule("H2O")
    assert closest_overlap(water, 0.9) is None
    water.append("Cs")
    water.positions[3] = water.positions[0] + [0, 0, 2.0]
    found = closest_overlap(water, 0.9)
    assert found is not None
    assert (found.first, found.second) == (0, 3)

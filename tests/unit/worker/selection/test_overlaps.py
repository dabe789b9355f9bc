"""The batched search against ASE's neighbour list, frame by frame."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.data import covalent_radii
from ase.neighborlist import neighbor_list
from hypothesis import given
from hypothesis import strategies as st

from pfd_worker.selection import overlaps
from pfd_worker.selection.overlaps import closest_overlap, closest_overlaps


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


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=8), st.sampled_from([0.3, 0.6, 1.2]))
def test_every_frame_of_a_shard_as_ases_neighbour_list_says(seeds, factor):
    frames = [random_frame(seed) for seed in seeds]
    for atoms, found in zip(frames, closest_overlaps(frames, factor), strict=True):
        expected = reference_ratio(atoms, factor)
        if found is None:
            assert expected is None
        else:
            assert found.distance_angstrom / found.allowed_angstrom == pytest.approx(expected, abs=1e-9)


def test_batches_change_nothing(monkeypatch):
    frames = [random_frame(seed) for seed in range(40)]
    together = closest_overlaps(frames, 0.6)
    monkeypatch.setattr(overlaps, "ATOMS_AT_A_TIME", 15)
    assert closest_overlaps(frames, 0.6) == together
    assert any(together) and not all(together)


def test_no_frames_and_frames_without_atoms_have_no_overlap():
    assert closest_overlaps([], 0.6) == []
    assert closest_overlaps([Atoms(), bulk("Si"), Atoms()], 0.6) == [None, None, None]


def test_hydrogen_may_be_closer_than_heavy_atoms_of_the_same_frame():
    water = molecule("H2O")
    assert closest_overlap(water, 0.9) is None
    water.append("Cs")
    water.positions[3] = water.positions[0] + [0, 0, 2.0]
    found = closest_overlap(water, 0.9)
    assert found is not None
    assert (found.first, found.second) == (0, 3)

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from hypothesis import given
from hypothesis import strategies as st

from pfd_worker.md.radial_distribution import RadialDistribution, overlaps, radial_distribution, self_overlaps


def ideal_gas(symbols, frames, edge=12.0, seed=0):
    rng = np.random.default_rng(seed)
    return [Atoms(symbols, rng.random((len(symbols), 3)) * edge, cell=[edge] * 3, pbc=True) for _ in range(frames)]


def test_an_ideal_gas_has_one_everywhere_also_with_few_atoms():
    gas = radial_distribution(ideal_gas(["Ar"] * 40 + ["Ne"] * 20, 100), r_max=5.0, bin_width=0.5)
    assert set(gas.g) == {("Ar", "Ar"), ("Ar", "Ne"), ("Ne", "Ne")} and gas.frames == 100
    for pair, values in gas.g.items():
        weights = 3 * (gas.r / gas.bin_width) ** 2  # of the shells' volumes: inner shells hold few pairs
        assert np.average(values, weights=weights) == pytest.approx(1.0, abs=0.04), pair
        np.testing.assert_allclose(values[4:], 1.0, atol=0.2)


@pytest.mark.parametrize("atoms", [2, 8, 32])
def test_an_ideal_gas_has_one_also_where_a_cell_is_no_larger_than_the_distances(atoms):
    gas = radial_distribution(ideal_gas(["Ar"] * atoms, 4000 // atoms, edge=5.0), r_max=5.0)
    assert len(gas.r) == 100
    assert np.average(gas.g[("Ar", "Ar")], weights=gas.r**2) == pytest.approx(1.0, abs=0.02)


def test_an_atom_is_no_partner_of_its_own_images():
    lone = Atoms(["Ar", "Ne"], [[0, 0, 0], [2, 2, 2]], cell=[5.65] * 3, pbc=True)
    found = radial_distribution([lone], r_max=5.65)
    assert set(found.g) == {("Ar", "Ne")}
    pair = Atoms(["Ar"] * 2, lone.positions, cell=lone.cell, pbc=True)
    assert radial_distribution([pair], r_max=99).g[("Ar", "Ar")][-1] == 0, "the images, 5.65 Å away, are in that bin"
    with pytest.raises(ValueError, match="a cell of one atom has no pairs"):
        radial_distribution([bulk("Cu")])


def test_perfect_fcc_has_its_shells_at_the_right_distances_with_the_right_numbers():
    a = 4.0
    crystal = bulk("Cu", a=a, cubic=True).repeat(4)
    found = radial_distribution([crystal], r_max=6.0, bin_width=0.05)
    g = found.g[("Cu", "Cu")]
    density = (len(crystal) - 1) / crystal.get_volume()
    edges = found.bin_width * np.arange(len(g) + 1)
    neighbours = g * density * 4 / 3 * np.pi * np.diff(edges**3)
    shells = {a * np.sqrt(n / 2): count for n, count in zip(range(1, 5), (12, 6, 24, 12), strict=True)}
    for distance, count in shells.items():
        near = np.abs(found.r - distance) <= found.bin_width
        assert neighbours[near].sum() == pytest.approx(count), distance
    assert neighbours.sum() == pytest.approx(sum(shells.values()))


def test_the_order_of_elements_does_not_matter_and_unlike_pairs_are_not_counted_twice():
    salt = bulk("NaCl", "rocksalt", a=5.64, cubic=True).repeat(2)
    found = radial_distribution([salt], r_max=3.5, bin_width=0.1)
    g = found.g[("Cl", "Na")]
    shells = 4 / 3 * np.pi * np.diff((0.1 * np.arange(len(g) + 1)) ** 3)
    assert (g * shells).sum() * 32 / salt.get_volume() == pytest.approx(6)  # six neighbours of the other kind
    assert found.g[("Na", "Na")].sum() == 0


def test_reach_ends_at_half_the_shortest_height_of_any_frame_and_the_whole_if_asked_for():
    large, small = bulk("Cu", cubic=True).repeat(2), bulk("Cu", cubic=True).repeat(2)
    small.set_cell(small.cell * 0.9, scale_atoms=True)
    found = radial_distribution([large, small])
    assert found.r[-1] + 0.025 == pytest.approx(3.61 * 0.9, abs=0.05)
    assert found.r[-1] + 0.025 <= 3.61 * 0.9
    skewed = bulk("Cu", a=4.0).repeat(4)  # edges 11.3 Å, heights 9.24 Å
    assert radial_distribution([skewed]).r[-1] == pytest.approx(4.6, abs=0.03)
    assert radial_distribution([skewed], r_max=99).r[-1] == pytest.approx(9.2, abs=0.03)


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([], "no frames"),
        ([molecule("H2O")], "frame 0 is not periodic"),
        ([bulk("Cu", cubic=True), bulk("Ni", cubic=True)], "frame 1 .*Ni4"),
        ([bulk("Cu", cubic=True).repeat((1, 1, 1)), bulk("Cu")], "frame 1"),
    ],
)
def test_frames_that_have_no_radial_distribution_are_refused(frames, message):
    with pytest.raises(ValueError, match=message):
        radial_distribution(frames)


def grid(values, width=0.1, pair=("Si", "Si")):
    return RadialDistribution(width, {pair: np.array(values, dtype=float)}, 1)


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0, 10)), min_size=1, max_size=30))
def test_overlap_is_symmetric_between_0_and_1_and_1_only_for_equals(pairs):
    one, other = (np.array(column) for column in zip(*pairs, strict=True))
    if not (one + other).any():
        return
    score = overlaps(grid(one), grid(other))[("Si", "Si")]
    assert -1e-9 <= score <= 1 + 1e-9
    assert score == pytest.approx(overlaps(grid(other), grid(one))[("Si", "Si")])
    if one.any():
        assert overlaps(grid(one), grid(one))[("Si", "Si")] == 1


def test_overlap_of_known_curves():
    assert overlaps(grid([1, 0]), grid([0, 1]))[("Si", "Si")] == 0
    assert overlaps(grid([2, 2]), grid([1, 1]))[("Si", "Si")] == pytest.approx(1 - 2 / 6)
    assert overlaps(grid([1, 1, 9]), grid([1, 1]))[("Si", "Si")] == 1  # only where both reach


def test_a_pair_that_is_nowhere_within_reach_says_nothing_against_the_others():
    one = RadialDistribution(0.1, {("Fe", "Fe"): np.array([0.0, 1.0]), ("Cr", "Cr"): np.zeros(2)}, 1)
    assert overlaps(one, one) == {("Fe", "Fe"): 1}


@pytest.mark.parametrize(
    ("one", "other", "message"),
    [
        (grid([1]), grid([1], width=0.2), "bin widths differ"),
        (grid([1]), grid([1], pair=("C", "Si")), "pairs of elements differ"),
        (grid([0, 0]), grid([0, 0]), "no pair of atoms is within 0.20 Å"),
    ],
)
def test_sets_that_cannot_be_compared_are_refused(one, other, message):
    with pytest.raises(ValueError, match=message):
        overlaps(one, other)


def test_gas_is_told_from_crystal_and_a_trajectory_agrees_with_itself():
    rng = np.random.default_rng(2)
    crystal = []
    for _ in range(10):
        crystal.append(bulk("Cu", cubic=True).repeat(3))
        crystal[-1].positions += rng.normal(0, 0.1, (108, 3))
    gas = ideal_gas(["Cu"] * 108, 10, edge=10.83)
    pair = ("Cu", "Cu")
    assert self_overlaps(crystal)[pair] > 0.93
    assert overlaps(radial_distribution(crystal), radial_distribution(gas))[pair] < 0.7
    with pytest.raises(ValueError, match="cannot be halved"):
        self_overlaps(crystal[:1])

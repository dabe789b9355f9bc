from collections import Counter

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.data import covalent_radii
from ase.geometry import get_distances
from ase.spacegroup import crystal

from pfd_worker.selection.contacts import CLOSEST_BOND_FACTOR, CLOSEST_FACTOR, FARTHEST_FACTOR, close_contacts
from pfd_worker.selection.overlaps import closest_overlap
from pfd_worker.selection.pair_distances import PairDistances, named, shortest_distances

SOUND = {"system": "mine", "brink": False}


def frames(count=3):
    made = []
    for number in range(count):
        atoms = bulk("Si", cubic=True, a=5.47).repeat((2, 2, 1))
        atoms.rattle(0.05, seed=number)
        atoms.info = {**SOUND, "trajectory": f"t{number}"}
        made.append(atoms)
    return made


def shortest(atoms):
    _, distances = get_distances(atoms.positions, cell=atoms.cell, pbc=True)
    return distances[np.triu_indices(len(atoms), 1)].min()


def test_one_pair_of_each_is_pushed_together_and_the_rest_stays():
    given = frames()
    made = close_contacts(given, 12, 0.6, seed=1)
    assert len(made) == 12
    assert {atoms.info["trajectory"] for atoms in made} == {"t0", "t1", "t2"}
    by_trajectory = {atoms.info["trajectory"]: atoms for atoms in given}
    nearest = CLOSEST_BOND_FACTOR * 2 * covalent_radii[14]
    farthest = FARTHEST_FACTOR * min(map(shortest, given))
    for atoms in made:
        moved = np.abs(atoms.positions - by_trajectory[atoms.info["trajectory"]].positions).max(axis=1) > 1e-12
        assert moved.sum() == 2
        assert nearest - 1e-9 <= shortest(atoms) <= farthest
    assert np.ptp([shortest(atoms) for atoms in made]) > 0.05, "distances are spread"


def water():
    rng = np.random.default_rng(1)
    atoms = Atoms(cell=[6.2] * 3, pbc=True, info=SOUND)
    for place in np.ndindex(2, 2, 2):
        one = molecule("H2O")
        one.rotate(rng.uniform(0, 360), rng.normal(size=3))
        one.translate(3.1 * np.array(place) - one.positions[0])
        atoms += one
    return atoms


def salt():
    atoms = bulk("NaCl", "rocksalt", 5.64, cubic=True)
    atoms.rattle(0.1, seed=3)
    atoms.info = dict(SOUND)
    return atoms


def pushed_pairs(before, after):
    moved = np.flatnonzero(np.abs(after.positions - before.positions).max(axis=1) > 1e-12)
    first, second = (before.symbols[int(atom)] for atom in moved)
    return "-".join(sorted((first, second)))


@pytest.mark.parametrize("atoms", [water(), salt()], ids=["water", "salt"])
def test_pairs_that_no_bond_holds_have_the_same_share_and_are_closer_than_md_brings_them(atoms):
    before = {named(elements): distance for elements, distance in shortest_distances([atoms]).items()}
    shares = Counter()
    for contact in close_contacts([atoms] * 5, 30, 0.6, seed=1):
        pair = pushed_pairs(atoms, contact)
        shares[pair] += 1
        after = {named(elements): distance for elements, distance in PairDistances.of(contact).shortest().items()}
        assert after[pair] <= FARTHEST_FACTOR * before[pair] + 1e-9
        assert after[pair] >= CLOSEST_FACTOR * before[pair] - 1e-9
    assert shares.keys() == before.keys() and min(shares.values()) >= 7


def squeezed(atoms, distance, **info):
    """Two neighbours of a frame so far apart."""
    apart = atoms.get_all_distances(mic=True) + 9 * np.eye(len(atoms))
    first, second = np.unravel_index(apart.argmin(), apart.shape)
    atoms.set_distance(first, second, distance, mic=True)
    atoms.info |= info
    return atoms


@pytest.mark.parametrize("where", [{"brink": True}, {"system": "another"}], ids=["brink", "another system"])
def test_one_pair_at_an_explosion_or_in_another_material_stops_none_of_the_others(where):
    close = squeezed(frames(1)[0], 1.4, **where, trajectory="close")
    made = close_contacts([*frames(19), close], 8, 0.6, seed=1)
    assert len(made) == 8 and "close" not in {atoms.info["trajectory"] for atoms in made}


def test_no_pair_is_pushed_to_where_md_brings_it_by_itself():
    rutile = crystal(
        ["Ti", "O"], [(0, 0, 0), (0.305, 0.305, 0)], spacegroup=136, cellpar=[4.594, 4.594, 2.959, 90, 90, 90]
    )
    hot = [rutile.repeat((2, 2, 3)) for _ in range(10)]
    for seed, atoms in enumerate(hot):
        atoms.rattle(0.1, seed=seed)
        atoms.info = {**SOUND, "seed": seed}
    # covalent radii of metals are large: 0.85 of their sum are 2.7 Å of Ti-Ti, 1.9 Å of Ti-O
    made = close_contacts(hot, 30, 0.6, seed=2)
    assert len(made) == 30 and {pushed_pairs(hot[atoms.info["seed"]], atoms) for atoms in made} == {"O-O"}


def test_a_pair_that_has_little_room_is_pushed_below_what_md_shows():
    close = squeezed(frames(1)[0], 1.93, trajectory="t9")
    given = {atoms.info["trajectory"]: atoms for atoms in (*frames(), close)}
    made = close_contacts(list(given.values()), 6, 0.6, seed=1)
    assert [shortest(atoms) for atoms in made] == pytest.approx([CLOSEST_BOND_FACTOR * 2 * covalent_radii[14]] * 6)


def test_the_same_seed_makes_the_same_and_leaves_what_was_given():
    given = frames()
    before = [atoms.positions.copy() for atoms in given]
    first, again, other = (close_contacts(given, 4, 0.6, seed) for seed in (1, 1, 2))
    for atoms, position in zip(given, before, strict=True):
        np.testing.assert_array_equal(atoms.positions, position)
    np.testing.assert_array_equal([a.positions for a in first], [a.positions for a in again])
    assert any(np.abs(a.positions - b.positions).max() > 0.1 for a, b in zip(first, other, strict=True))


def test_no_pair_comes_closer_than_frames_may_have():
    made = close_contacts(frames(), 12, 0.85, seed=3)
    assert made and all(closest_overlap(atoms, 0.85 - 1e-6) is None for atoms in made)


@pytest.mark.parametrize(
    "atoms", [Atoms("Ar", cell=[9, 9, 9], pbc=True), Atoms("Ar2", positions=[[0, 0, 0], [8, 0, 0]])]
)
def test_where_nothing_is_near_there_are_none(atoms):
    atoms.info = dict(SOUND)
    assert close_contacts([atoms], 2, 0.6, seed=1) == []


def test_no_frames_make_none():
    assert close_contacts([], 2, 0.6, seed=1) == []

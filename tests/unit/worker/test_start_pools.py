import pytest
from ase import Atoms

from pfd_operator.contract.selection import Apart
from pfd_worker.start_pools import holdout_starts, structures_in_turn, training_starts, training_structures


@pytest.mark.parametrize(("count", "kept"), [(1, 2), (2, 2), (4, 2), (8, 4)])
def test_holdout_trajectories_have_starts_of_their_own(count, kept):
    starts = [
        Atoms("Cu", info={"frame": f, "variation": v, "start": count * f + v}) for f in range(2) for v in range(count)
    ]
    holdout, training = (pool(starts, Apart.TRAJECTORIES) for pool in (holdout_starts, training_starts))
    assert len(holdout) == kept and len(training) >= 1
    assert {int(atoms.info["frame"]) for atoms in holdout} == {0, 1}
    if count > 1:
        assert not {a.info["start"] for a in holdout} & {a.info["start"] for a in training}
        assert len(holdout) + len(training) == len(starts)


def test_starts_are_looked_at_a_few_times_each_however_many_there_are():
    looks = []

    class Start:
        def __init__(self, variation):
            self._variation = variation

        @property
        def info(self):
            looks.append(self._variation)
            return {"variation": self._variation}

    starts = [Start(number % 40) for number in range(2000)]
    assert [len(pool(starts, Apart.TRAJECTORIES)) for pool in (holdout_starts, training_starts)] == [500, 1500]
    assert len(looks) <= 4 * len(starts)
    assert training_starts([], Apart.TRAJECTORIES) == holdout_starts([], Apart.STRUCTURES) == []


@pytest.mark.parametrize(
    ("structures", "kept"), [(3, {0, 1, 2}), (4, {2}), (6, {1, 4}), (12, {2, 6, 10})], ids=lambda value: str(value)
)
@pytest.mark.parametrize("count", [1, 2, 8])
def test_whole_structures_are_kept_apart_with_all_their_variations(structures, count, kept):
    starts = [Atoms("Cu", info={"frame": f, "variation": v}) for f in range(structures) for v in range(count)]
    holdout, training = (pool(starts, Apart.STRUCTURES) for pool in (holdout_starts, training_starts))
    assert {atoms.info["frame"] for atoms in holdout} == kept
    if structures >= 4:
        assert {atoms.info["frame"] for atoms in training} == set(range(structures)) - kept
        assert len(holdout) == count * len(kept) and len(holdout) + len(training) == len(starts)
    else:
        assert len(holdout) == len(holdout_starts(starts, Apart.TRAJECTORIES)), "three are too few to keep one from"


@pytest.mark.parametrize("count", [1, 8])
def test_structures_for_training_are_those_of_all_systems_that_are_not_kept_apart(count):
    starts = [
        Atoms("Cu", info={"system": system, "frame": frame, "variation": variation})
        for system, structures in (("glasses", 10), ("crystals", 3))
        for frame in range(structures)
        for variation in range(count)
    ]
    assert [training_structures(starts, apart) for apart in Apart] == [13, 8 + 3]


def test_every_structure_has_its_turn_before_any_has_another():
    starts = [Atoms("Cu", info={"frame": frame, "variation": v}) for frame in range(5) for v in range(3)]
    turns = structures_in_turn(starts, seed=3)
    for first in range(0, 15, 5):
        assert {atoms.info["frame"] for atoms in turns[first : first + 5]} == set(range(5))
    assert len({(atoms.info["frame"], atoms.info["variation"]) for atoms in turns}) == 15
    assert [a.info for a in turns] == [a.info for a in structures_in_turn(starts, seed=3)]
    assert [a.info for a in turns] != [a.info for a in structures_in_turn(starts, seed=4)]

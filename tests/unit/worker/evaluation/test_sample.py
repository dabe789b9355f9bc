"""A sample of many frames stands for all: every composition's zero of energy follows from it."""

import time

import numpy as np
import pytest
from ase import Atoms

from pfd_worker.evaluation.sample import spread_over_compositions
from pfd_worker.evaluation.shift import determined


def symbols_of(frames: list[Atoms]) -> list[list[str]]:
    return [atoms.get_chemical_symbols() for atoms in frames]


def test_few_frames_are_all_taken():
    frames = [Atoms("NaCl")] * 5
    assert spread_over_compositions(frames, 5, seed=1) == [0, 1, 2, 3, 4]
    assert spread_over_compositions([], 5, seed=1) == []


def test_rare_compositions_are_taken_whole_and_the_rest_at_random():
    frames = [Atoms("NaCl")] * 4990 + [Atoms("Na6Cl2")] * 4 + [Atoms("Na3Cl")] * 6
    rows = spread_over_compositions(frames, 500, seed=1)
    assert len(rows) == len(set(rows)) == 500 and rows == sorted(rows)
    # one composition, in two sizes of cell
    assert set(range(4990, 5000)) < set(rows)
    assert rows == spread_over_compositions(frames, 500, seed=1) != spread_over_compositions(frames, 500, seed=2)
    assert np.histogram(rows[:490], bins=5, range=(0, 4990))[0].min() > 70


@pytest.mark.parametrize("seed", range(3))
def test_the_zero_of_all_frames_follows_from_those_taken_where_each_has_a_composition_of_its_own(seed):
    rng = np.random.default_rng(7)
    frames = []
    for _ in range(2000):
        counts = rng.integers(0, 12, 4)
        frames.append(Atoms("Cu" * 1 + "Ni" * counts[0] + "Pd" * counts[1] + "Ag" * counts[2] + "Au" * counts[3]))
    frames[777] = Atoms("CuPt")
    rows = spread_over_compositions(frames, 30, seed)
    assert len(rows) == 30 and 777 in rows
    assert determined(symbols_of([frames[row] for row in rows]), symbols_of(frames)).all()


def test_time_grows_as_the_number_of_frames_does():
    frames = [Atoms("Na" * (1 + number % 7) + "Cl" * (1 + number % 11)) for number in range(16_000)]

    def quickest(count: int) -> float:
        """Of this process alone, whatever else the machine does."""
        seconds = []
        for _ in range(3):
            started = time.process_time()
            spread_over_compositions(frames[:count], 500, seed=1)
            seconds.append(time.process_time() - started)
        return min(seconds)

    # with its square it would be 16 times as much
    assert quickest(16_000) < 8 * quickest(4_000)

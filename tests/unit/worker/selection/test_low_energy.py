import numpy as np

from pfd_worker.selection.distance import Distance
from pfd_worker.selection.low_energy import select_low_energy
from pfd_worker.selection.representative import Candidate
from tests.unit.worker.selection.labelled import each_by_itself

NONE = np.zeros((0, 2), dtype=np.float32)


def candidate(energy, composition="si Si8", brink=False, heating=False):
    return Candidate("si/300K", "t", 0, brink, composition, energy, heating)


def spread(count):
    """Features of frames that are all new."""
    return np.arange(2 * count, dtype=np.float32).reshape(count, 2)


def lowest(candidates, count, features=None, known=NONE, rows=None):
    features = spread(len(candidates)) if features is None else features
    rows = range(len(candidates)) if rows is None else rows
    return select_low_energy(Distance(features, each_by_itself(known)), candidates, rows, count, seed=1)


def test_the_lowest_of_those_offered_come_in_order():
    candidates = [candidate(energy) for energy in (-5.1, -5.4, -5.2, -5.3, -5.0)]
    assert lowest(candidates, 3) == [1, 3, 2]
    assert lowest(candidates, 3, rows={0, 2, 4}) == [2, 0, 4]
    assert lowest(candidates, 9) == [1, 3, 2, 0, 4] and lowest(candidates, 0) == []


def test_every_composition_has_its_share_whatever_its_energies():
    candidates = [candidate(-5.0 - 0.1 * n) for n in range(4)] + [candidate(-9.0 - n, "sic Si4C4") for n in range(4)]
    assert sorted(lowest(candidates, 4)) == [2, 3, 6, 7]


def test_what_resembles_a_labelled_or_a_taken_frame_is_passed_over():
    known = np.array([[0, 0], [1, 0], [2, 0], [3, 0]], dtype=np.float32)
    features = np.array([[0.1, 0], [9, 0], [9.5, 0], [20, 0]], dtype=np.float32)
    candidates = [candidate(energy) for energy in (-9.0, -8.0, -7.0, -6.0)]
    assert lowest(candidates, 3, features, known) == [1, 3]


def test_a_frame_before_an_explosion_is_no_low_energy():
    assert lowest([candidate(-99.0, brink=True), candidate(-5.0), candidate(None)], 3) == [1]
    assert lowest([candidate(-9.0, heating=True), candidate(-5.0)], 2) == [1]


def test_scores_are_worked_out_once_for_each_frame_taken():
    """Those of an uncertainty are a square root for each candidate."""

    class Counted(Distance):
        reads = 0

        @property
        def scores(self):
            Counted.reads += 1
            return self._scores

        @scores.setter
        def scores(self, scores):
            self._scores = scores

    known = spread(5)
    novelty = Counted(np.concatenate([np.tile(known, (20, 1)), 10 * spread(9)[7:]]), each_by_itself(known))
    candidates = [candidate(-9.0)] * 100 + [candidate(-5.0)] * 2
    assert len(select_low_energy(novelty, candidates, range(102), 2, seed=1)) == 2
    # taking one reads them twice
    assert Counted.reads <= 1 + 2 * 3

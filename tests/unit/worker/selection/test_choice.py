from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from pfd_operator.contract.selection import NoveltyMeasure
from pfd_worker.frames import Sampling
from pfd_worker.selection.choice import choose_frames
from pfd_worker.selection.representative import Candidate
from tests.unit.worker.selection.labelled import each_by_itself

CANDIDATES = [
    Candidate("si/900K", f"t{replica}", step, brink=replica < 2 and step == 100)
    for replica in range(4)
    for step in range(10, 110, 10)
]
BRINK = {row for row, candidate in enumerate(CANDIDATES) if candidate.brink}
KNOWN = each_by_itself(np.zeros((3, 4), dtype=np.float32))


def features():
    return np.random.default_rng(5).normal(size=(len(CANDIDATES), 4)).astype(np.float32)


def choose(count, even, low=0, candidates=CANDIDATES):
    return choose_frames(candidates, count, even, low, NoveltyMeasure.DISTANCE, features(), KNOWN, seed=3).samplings


@pytest.mark.parametrize(("count", "even"), [(8, 4), (8, 0), (40, 10), (3, 2), (1, 0)])
def test_exactly_so_many_are_chosen_and_explosions_go_before_distance(count, even):
    chosen = choose(count, even)
    kinds = Counter(chosen.values())
    assert len(chosen) == count and kinds[Sampling.REPRESENTATIVE] == even
    assert kinds[Sampling.BRINK] == min(2, count - even)
    assert {row for row, sampling in chosen.items() if sampling is Sampling.BRINK} <= BRINK
    assert list(chosen.items()) == list(choose(count, even).items())


def test_an_even_sample_holds_no_frame_on_the_brink():
    chosen = choose(30, 30)
    assert not BRINK & set(chosen)
    assert set(chosen.values()) == {Sampling.REPRESENTATIVE}


def test_where_all_else_is_taken_those_on_the_brink_make_up_the_number():
    assert set(choose(40, 40)) == set(range(40))


def test_what_is_chosen_of_md_that_is_heating_is_said_to_be():
    candidates = [replace(each, heating=each.step <= 50) for each in CANDIDATES]
    heating = {row for row, candidate in enumerate(candidates) if candidate.heating}
    kinds = choose(40, 8, candidates=candidates)
    assert {row for row, sampling in kinds.items() if sampling is Sampling.HEATING} == heating
    assert set(kinds.values()) == {Sampling.REPRESENTATIVE, Sampling.BRINK, Sampling.HEATING, Sampling.FARTHEST}


def test_what_is_labelled_already_and_what_is_chosen_keep_others_away():
    rows = np.array([[0, 0], [0.1, 0], [5, 0], [5.1, 0], [9, 0]], dtype=np.float32)
    candidates = [Candidate("s", "t", step) for step in range(5)]
    labelled = each_by_itself(np.array([[0, 0]], dtype=np.float32))
    choice = choose_frames(candidates, 2, 0, 0, NoveltyMeasure.DISTANCE, rows, labelled, seed=1)
    assert list(choice.samplings) == [4, 2]
    assert choice.novelty == pytest.approx([0, 0.1, 5, 5.1, 9])
    assert choice.novel is None, "one labelled frame does not tell what is new"


@pytest.mark.parametrize("even", [10, 4])
def test_how_much_of_the_md_is_new_is_told_whatever_is_chosen(even):
    near = each_by_itself(np.random.default_rng(1).normal(size=(30, 4)).astype(np.float32))
    rows = features()
    rows[:7] += 50
    choice = choose_frames(CANDIDATES, 10, even, 0, NoveltyMeasure.DISTANCE, rows, near, seed=3)
    assert choice.novel >= 7
    assert len(choice.novelty) == len(CANDIDATES)


@pytest.mark.parametrize(("count", "even", "low", "taken"), [(10, 4, 3, 3), (10, 8, 3, 2), (40, 0, 5, 5), (3, 3, 1, 0)])
def test_low_energies_take_their_share_of_what_is_not_even_and_the_number_stays(count, even, low, taken):
    candidates = [replace(each, composition="si Si8", energy_per_atom=-5.0) for each in CANDIDATES]
    chosen = choose(count, even, low, candidates)
    kinds = Counter(chosen.values())
    assert len(chosen) == count and kinds[Sampling.LOW_ENERGY] == taken
    assert kinds[Sampling.REPRESENTATIVE] == even


def test_candidates_without_a_known_energy_leave_the_share_to_others():
    assert choose(10, 4, 3) == choose(10, 4)


def test_equal_frames_on_the_brink_leave_their_places_to_what_is_far():
    rows = features()
    for stratum in ("si/900K", "si/1500K"):
        candidates = [replace(each, stratum=stratum if each.brink else each.stratum) for each in CANDIDATES]
        rows[sorted(BRINK)] = 30.0
        choice = choose_frames(candidates, 6, 0, 0, NoveltyMeasure.DISTANCE, rows, KNOWN, seed=3)
        kinds = Counter(choice.samplings.values())
        assert kinds == {Sampling.BRINK: 1, Sampling.FARTHEST: 5}
        assert len(BRINK & set(choice.samplings)) == 1


def test_equal_frames_on_the_brink_make_up_the_number_where_nothing_else_is_left():
    rows = features()
    rows[sorted(BRINK)] = 30.0
    choice = choose_frames(CANDIDATES, 40, 0, 0, NoveltyMeasure.DISTANCE, rows, KNOWN, seed=3)
    assert set(choice.samplings) == set(range(40))
    assert {row for row, sampling in choice.samplings.items() if sampling is Sampling.BRINK} == BRINK


def test_a_stratum_whose_explosions_are_all_alike_leaves_its_share_to_another():
    candidates = [Candidate("a", f"t{n}", 0, brink=True) for n in range(4)]
    candidates += [Candidate("b", f"t{n}", 0, brink=True) for n in range(4, 8)]
    rows = np.array([[5, 0]] * 4 + [[0, 5], [0, 6], [0, 7], [0, 8]], dtype=np.float32)
    choice = choose_frames(
        candidates, 4, 0, 0, NoveltyMeasure.DISTANCE, rows, each_by_itself(KNOWN.features[:, :2]), seed=3
    )
    assert set(choice.samplings.values()) == {Sampling.BRINK}
    assert len({0, 1, 2, 3} & set(choice.samplings)) == 1

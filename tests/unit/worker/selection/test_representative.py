from collections import Counter

import numpy as np

from pfd_worker.selection.representative import Candidate, select_representative

CANDIDATES = [
    Candidate(f"si/{kelvin}K", f"t{kelvin}-{replica}", step)
    for kelvin in (300, 600, 900)
    for replica in range(2)
    for step in range(10, 510, 10)
]


def test_frames_are_spread_over_strata_trajectories_and_time():
    chosen = select_representative(CANDIDATES, 24, seed=1)
    assert len(chosen) == len(set(chosen)) == 24
    assert set(Counter(CANDIDATES[row].stratum for row in chosen).values()) == {8}
    trajectories = Counter(CANDIDATES[row].trajectory for row in chosen)
    assert len(trajectories) == 6 and set(trajectories.values()) == {4}
    for name in trajectories:
        steps = sorted(CANDIDATES[row].step for row in chosen if CANDIDATES[row].trajectory == name)
        assert np.diff(steps).min() >= 100
        assert steps[0] > 50


def test_few_frames_still_cover_different_strata():
    chosen = select_representative(CANDIDATES, 3, seed=2)
    assert len({CANDIDATES[row].stratum for row in chosen}) == 3


def test_an_exploded_trajectory_is_made_up_for_by_the_others():
    short = [c for c in CANDIDATES if c.trajectory != "t900-1"] + [Candidate("si/900K", "t900-1", 10)]
    assert len(select_representative(short, 60, seed=3)) == 60


def test_frames_of_exploded_trajectories_before_they_had_their_conditions_are_no_sample():
    short = [Candidate("si/900K", f"t{n}", step, heating=step <= 150) for n in range(9) for step in range(10, 200, 10)]
    chosen = select_representative(short, 99, seed=3)
    assert len(chosen) == 9 * 4 and min(short[row].step for row in chosen) == 160


def test_more_asked_than_there_is_gives_all():
    assert select_representative(CANDIDATES[:5], 9, seed=4) == [0, 1, 2, 3, 4]

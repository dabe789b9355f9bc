"""The part of the labelled frames that only picks the best checkpoint."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from pfd_worker.frames import GIVEN, OF_TRAJECTORY, is_extreme

GOLDEN_RATIO = (math.sqrt(5) - 1) / 2
SMALLEST_SET_TO_SPLIT = 8
"""Below this, every frame is needed for training, and the last checkpoint is as good a guess as any. So what may have
been such a set, at the beginning of a larger one, has been trained on."""
STRETCHES_STEPS = (100, 50, 25)
"""Of a trajectory, that are set aside together: of frames that follow closely only the first and last have neighbours
that are trained on. The longest whose frames are not too many; in shorter ones more would be lost to `GAP_STEPS` than
set aside."""
GAP_STEPS = 20
"""At least, from a frame that is set aside to one of its trajectory that is trained on: about half a vibration, since
timesteps are chosen by the fastest one."""
LARGEST_EXCESS = 2.0
"""How many times what is to be set aside of the frames up to its end a part may be: labels are paid for to be trained
on."""
STEPS_OF_GIVEN_FRAME = 10
"""That a frame of a user's file counts for where the file says no trajectory: MD is seldom written more often. Of what
is no MD, few frames are lost as neighbours of a stretch."""
FEWEST_OF_SEQUENCE = 12
"""Frames of one formula in such a file, to be taken in stretches: the shortest are then a quarter of them."""
LARGEST_PART_OF_SEQUENCE = 0.25
"""Of them, that goes together: those that are trained on must have each formula, too."""
MOST_VALIDATION_FRAMES = 100
"""About. Each of up to 40 checkpoints predicts them all; an RMSE over so many is known to a twentieth."""


def split_validation(frames: Sequence[Atoms], fraction: float) -> tuple[list[Atoms], list[Atoms]]:
    """Split frames into those trained on and those that pick the best checkpoint, which are spread over all.

    Of a trajectory a stretch of steps goes as a whole, and the frames next to it are in neither set: one 2 fs from a
    frame that is trained on shows no overfitting. Frames of a user's file that say no trajectory may be of MD: those of
    one formula count as a sequence in the order of the file, and go one by one only where they are few.

    Extreme frames are never set aside: errors of theirs are ten times those of MD, and would alone decide. When frames
    are added at the end, none that was trained on is set aside: a training that goes on from the last round's model
    must not be judged by what that one was trained on. Below `MOST_VALIDATION_FRAMES` each keeps its part; above, some
    of those that were set aside are trained on.

    Returns
    -------
    tuple
        (training, validation); validation is empty if `fraction` is 0 or the set is too small to spare any.
    """
    of_md = [row for row, atoms in enumerate(frames) if not is_extreme(atoms)]
    if fraction == 0 or len(frames) < SMALLEST_SET_TO_SPLIT or not of_md:
        return list(frames), []
    places = _places(frames)
    parts = _parts([places[row] for row in of_md], fraction)
    if parts.max() < 0:
        return list(frames), []
    # of any number of points in this order, just about that fraction is below it (Weyl, Math. Ann. 77, 313, 1916)
    # and the first part, which may be all that there is of AIMD, always
    turns = (fraction / 2 + GOLDEN_RATIO * np.arange(parts.max() + 1)) % 1.0
    fraction = min(fraction, MOST_VALIDATION_FRAMES / len(of_md))
    aside = np.zeros(len(frames), dtype=bool)
    aside[of_md] = (parts >= 0) & (turns[parts] <= max(fraction, turns.min()))
    near = _near(places, aside)
    training, validation = np.flatnonzero(~near).tolist(), np.flatnonzero(aside).tolist()
    return [frames[row] for row in training], [frames[row] for row in validation]


def _places(frames: Sequence[Atoms]) -> list[tuple[Hashable, int]]:
    """Return of each frame its trajectory, which is its own number if it is of none, and its step there.

    AIMD says no steps, nor did MD of an earlier version: frames of such trajectories count as successive ones.
    """
    names = [_trajectory(atoms) for atoms in frames]
    counts, so_far = Counter(names), Counter[Hashable]()
    places: list[tuple[Hashable, int]] = []
    for number, (atoms, name) in enumerate(zip(frames, names, strict=True)):
        if name is None or (isinstance(name, _Sequence) and counts[name] < FEWEST_OF_SEQUENCE):
            places.append((number, 0))
        elif isinstance(name, _Sequence):
            places.append((name, STEPS_OF_GIVEN_FRAME * so_far[name]))
        else:
            places.append((name, int(atoms.info.get("step", so_far[name]))))
        so_far[name] += 1
    return places


class _Sequence(NamedTuple):
    """Frames of a user's file that do not say what they are of."""

    file: str
    formula: str


def _trajectory(atoms: Atoms) -> Hashable:
    """Return what a frame's neighbours in time have in common with it; None if there is no such thing."""
    if atoms.info.get("stratum") != GIVEN:
        told: Hashable = atoms.info.get("trajectory")
        return told
    said: Hashable = atoms.info.get(OF_TRAJECTORY)
    return _Sequence(str(atoms.info.get("trajectory")), atoms.get_chemical_formula()) if said is None else said


def _parts(places: Sequence[tuple[Hashable, int]], fraction: float) -> NDArray[np.int64]:
    """Return the number of each frame's part, as they come; -1 is what is never set aside.

    That is what the first frames are of, which may have been too few to split. And it is a trajectory of which even the
    shortest stretch was too large when it came, compared with what was to be set aside by then: whatever comes later,
    it is trained on.

    Parameters
    ----------
    places
        Of each frame: its trajectory and its step there.
    fraction
        To be set aside.
    """
    steps: dict[Hashable, list[int]] = {}
    ends: dict[Hashable, int] = {}
    for end, (trajectory, step) in enumerate(places, 1):
        steps.setdefault(trajectory, []).append(step)
        ends[trajectory] = end
    most = {name: LARGEST_EXCESS * fraction * ends[name] for name in steps}
    most |= {
        name: min(most[name], LARGEST_PART_OF_SEQUENCE * len(steps[name]))
        for name in steps
        if isinstance(name, _Sequence)
    }
    lengths = {name: _stretch(mine, most[name]) for name, mine in steps.items()}
    stretches = [None if (length := lengths[name]) is None else (name, step // length) for name, step in places]
    trained = {None, *stretches[: SMALLEST_SET_TO_SPLIT - 1]}
    first: dict[Hashable, int] = {}
    return np.array([-1 if each in trained else first.setdefault(each, len(first)) for each in stretches])


def _stretch(steps: Sequence[int], most: float) -> int | None:
    """Return the steps of the longest stretch that has nowhere more frames than `most`; None if none is so short."""
    counts = {length: max(Counter(step // length for step in steps).values()) for length in STRETCHES_STEPS}
    return next((length for length, count in counts.items() if count <= most), None)


def _near(places: Sequence[tuple[Hashable, int]], aside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which frames are set aside, or so near to one that they would tell of it."""
    steps: dict[Hashable, list[int]] = {}
    for (trajectory, step), is_aside in zip(places, aside, strict=True):
        if is_aside:
            steps.setdefault(trajectory, []).append(step)
    return np.array([any(abs(step - other) < GAP_STEPS for other in steps.get(name, ())) for name, step in places])

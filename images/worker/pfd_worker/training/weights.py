"""How often each frame is trained on."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from ase import Atoms

from pfd_worker.frames import WEIGHT, is_of_exploration

POWER = 0.5
"""Of the MD asked for in a stratum: 1 makes training that of all MD, 0 of all strata alike (Bankier, Am. Stat. 42, 174
(1988), on such a power for samples that are to tell of the whole and of its parts)."""
LARGEST_WEIGHT = 4.0
"""About: of a stratum with one label to a hundred of another, as where MD explodes at once or is asked for anew, this
one label would be half of the training."""
MEAN_COPIES = 2
"""Of a frame of weight 1: so weights of 0.75 to 1.25, which odd shares make, are none, and the least is ½. Before its
first step deepmd-kit predicts all that is there, copies too, so that more of them cost more than they tell."""


def weigh(frames: Sequence[Atoms], asked_of_strata: Mapping[str, int]) -> None:
    """Let each stratum weigh in training by the root of the MD asked for in it, however many of it are labelled.

    Selection labels what is new, of each stratum as much. Trained on each label alike, a model errs more than it must
    where most of the MD is. What explodes is asked for all the same: where a model fails is learned from. Frames that
    are of no MD, of an earlier one, pushed or exploding weigh as the others do on average. Where a stratum has so few
    labels that each would weigh more than `LARGEST_WEIGHT`, the others get what it leaves.

    Parameters
    ----------
    frames
        All that is trained on; their info is changed.
    asked_of_strata
        Stratum → candidates of the newest MD, had none of it exploded.
    """
    for atoms in frames:
        atoms.info.pop(WEIGHT, None)
    counted = [atoms for atoms in frames if is_of_exploration(atoms) and asked_of_strata.get(atoms.info["stratum"])]
    if not counted:
        return
    strata = [str(atoms.info["stratum"]) for atoms in counted]
    labels = Counter(strata)
    weights = np.array([asked_of_strata[stratum] ** POWER / labels[stratum] for stratum in strata])
    for _ in labels:
        weights = np.minimum(weights / weights.mean(), LARGEST_WEIGHT)
    for atoms, weight in zip(counted, weights / weights.mean(), strict=True):
        atoms.info[WEIGHT] = float(weight)


def copies_in_training(frames: Sequence[Atoms]) -> list[int]:
    """Return how often each frame is to be there when one is drawn as often as another: once at least."""
    copies = [max(1, round(MEAN_COPIES * atoms.info.get(WEIGHT, 1.0))) for atoms in frames]
    least = math.gcd(*copies)
    return [number // least for number in copies]

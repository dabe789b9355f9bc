"""How often each frame is trained on."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from ase import Atoms

from pfd_worker.frames import WEIGHT, is_of_exploration

POWER = 0.5
"""Of the MD asked for in a stratum: 1 makes training that of all MD, 0 of all strata alike (Bankier, Am. Stat. 42, 174
(1988), on such a power for samples that are to tell of the whole and of its parts)."""
MEAN_COPIES = 4
"""Of a frame of weight 1."""
MOST_FRAMES = 20_000
"""With all copies, about: more frames have fewer of them."""


def weigh(frames: Sequence[Atoms], asked_of_strata: Mapping[str, int]) -> None:
    """Let each stratum weigh in training by the root of the MD asked for in it, however many of it are labelled.

    Selection labels what is new, of each stratum as much. Trained on each label alike, a model errs more than it must
    where most of the MD is. What explodes is asked for all the same: where a model fails is learned from. Frames that
    are of no MD, of an earlier one, pushed or exploding weigh as the others do on average.

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
    labels = Counter(str(atoms.info["stratum"]) for atoms in counted)
    shares = {stratum: asked_of_strata[stratum] ** POWER for stratum in labels}
    for atoms in counted:
        stratum = atoms.info["stratum"]
        atoms.info[WEIGHT] = shares[stratum] / sum(shares.values()) * len(counted) / labels[stratum]


def copies_in_training(frames: Sequence[Atoms]) -> list[int]:
    """Return how often each frame is to be there when one is drawn as often as another: once at least."""
    mean_copies = max(1, min(MEAN_COPIES, MOST_FRAMES // max(1, len(frames))))
    copies = [max(1, round(mean_copies * atoms.info.get(WEIGHT, 1.0))) for atoms in frames]
    least = math.gcd(*copies)
    return [number // least for number in copies]

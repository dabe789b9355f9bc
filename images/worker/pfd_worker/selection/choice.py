"""Which candidates are labelled: an even sample, then where MD exploded, then what is far from the training set."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from pfd_worker.frames import Sampling
from pfd_worker.selection.farthest import select_farthest
from pfd_worker.selection.representative import Candidate, select_representative

Features = NDArray[np.float32]


def choose_frames(
    candidates: Sequence[Candidate],
    count: int,
    even: int,
    features: Callable[[], tuple[Features, Features]],
    seed: int,
) -> dict[int, Sampling]:
    """Choose exactly `count` candidates, or all there are.

    Parameters
    ----------
    candidates
        Where each comes from.
    count
        How many to choose.
    even
        How many of them are an even sample of the MD.
    features
        Called if that is not all: features of the candidates (n, d), and of the frames labelled already (m, d).
    seed
        Of all that is left to chance.

    Returns
    -------
    dict
        Row of `candidates` → how it was sampled, in the order chosen.
    """
    chosen = dict.fromkeys(select_representative(candidates, min(count, even), seed), Sampling.REPRESENTATIVE)
    if len(chosen) == count:
        return chosen
    mine, known = features()
    brink = {row for row, candidate in enumerate(candidates) if candidate.brink}
    for sampling, pool in ((Sampling.BRINK, brink), (Sampling.FARTHEST, set(range(len(candidates))))):
        rest = np.array(sorted(pool - set(chosen)), dtype=int)
        strata = [candidates[row].stratum for row in rest]
        near = np.concatenate([known, mine[list(chosen)]])
        far = select_farthest(mine[rest], strata, count - len(chosen), near, seed)
        chosen |= dict.fromkeys(rest[far].tolist(), sampling)
    return chosen

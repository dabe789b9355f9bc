"""Which candidates are labelled: an even sample, low energies, then where MD exploded, then what is new."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pfd_operator.contract.selection import NoveltyMeasure
from pfd_worker.frames import Sampling
from pfd_worker.selection.distance import Distance
from pfd_worker.selection.low_energy import select_low_energy
from pfd_worker.selection.novelty import Novelty, count_novel, select_distinct, select_novel
from pfd_worker.selection.representative import Candidate, select_representative
from pfd_worker.selection.training_set import TrainingSet
from pfd_worker.selection.variance import PosteriorVariance

Features = NDArray[np.float32]
MEASURES: dict[NoveltyMeasure, Callable[[Features, TrainingSet], Novelty]] = {
    NoveltyMeasure.DISTANCE: Distance,
    NoveltyMeasure.UNCERTAINTY: PosteriorVariance,
}


@dataclass(frozen=True)
class Choice:
    """Which candidates are labelled."""

    samplings: dict[int, Sampling]
    """Row → how it was sampled, in the order chosen."""
    novelty: NDArray[np.float64] | None
    """(n,) of every candidate to what was labelled before; None if nothing was."""
    novel: int | None = None
    """How many candidates are new to what was labelled before; None if that is too little to tell."""


def choose_frames(
    candidates: Sequence[Candidate],
    count: int,
    even: int,
    low: int,
    measure: NoveltyMeasure,
    features: Features,
    training: TrainingSet,
    seed: int,
) -> Choice:
    """Choose exactly `count` candidates, or all there are.

    Parameters
    ----------
    candidates
        Where each comes from.
    count
        How many to choose.
    even
        How many of them are an even sample of the MD.
    low
        How many of the others are of low energy, if as many are no near-duplicates.
    measure
        What makes a candidate new.
    features
        Of the candidates, (n, d).
    training
        The frames labelled already.
    seed
        Of all that is left to chance.
    """
    chosen = dict.fromkeys(select_representative(candidates, min(count, even), seed), Sampling.REPRESENTATIVE)
    known = len(training.features)
    if not len(features) or (len(chosen) == count and not known):
        return Choice(chosen, None)
    novelty = MEASURES[measure](features, training)
    before, novel = (novelty.scores.copy() if known else None), count_novel(novelty)
    for row in chosen:
        novelty.take(row)
    free = set(range(len(candidates))) - set(chosen)
    lowest = select_low_energy(novelty, candidates, free, min(low, count - len(chosen)), seed)
    chosen |= dict.fromkeys(lowest, Sampling.LOW_ENERGY)
    strata = [candidate.stratum for candidate in candidates]
    brink = {row for row, candidate in enumerate(candidates) if candidate.brink}
    # trajectories that explode before their first check leave the start that they share
    distinct = select_distinct(novelty, strata, brink - set(chosen), count - len(chosen), seed)
    chosen |= dict.fromkeys(distinct, Sampling.BRINK)
    rest = set(range(len(candidates))) - set(chosen)
    for row in select_novel(novelty, strata, rest, count - len(chosen), seed):
        heating = Sampling.HEATING if candidates[row].heating else Sampling.FARTHEST
        chosen[row] = Sampling.BRINK if row in brink else heating
    return Choice(chosen, before, novel)

"""Who chooses which frames are labelled next: chance, PFD-kit's entropy, and the operator's own code."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
from ase import Atoms

from pfd_operator.contract.selection import NoveltyMeasure, Selection
from pfd_worker.models.deepmd import DeepmdModel
from pfd_worker.selection.choice import choose_frames
from pfd_worker.selection.representative import Candidate
from pfd_worker.selection.training_set import TrainingSet

REPRESENTATIVE_FRACTION = Selection().representative_fraction

Choose = Callable[[Sequence[int], int, Path], list[int]]
"""Rows labelled so far, how many to add, the model trained on them (the pre-trained one at first) → rows to add."""


class Chooser(Protocol):
    """How the choice of one run is made ready."""

    def __call__(self, pool: Sequence[Atoms], folder: Path, seed: int) -> Choose: ...


def chance(pool: Sequence[Atoms], folder: Path, seed: int) -> Choose:
    """Every frame is as likely as another."""
    return in_order(np.random.default_rng(seed).permutation(len(pool)).tolist())


def entropy(pool: Sequence[Atoms], folder: Path, seed: int) -> Choose:
    """PFD-kit's greedy entropy, in the order that entropy_order.py found."""
    return in_order(json.loads((folder / f"entropy-{seed}.json").read_text()))


def operator(pool: Sequence[Atoms], folder: Path, seed: int, measure: NoveltyMeasure) -> Choose:
    """An even sample, and the frames newest to the training set by the descriptors of the newest model."""
    elements = sorted({symbol for atoms in pool for symbol in atoms.symbols})
    candidates = [Candidate(a.info["stratum"], a.info["trajectory"], a.info["step"], a.info["brink"]) for a in pool]

    def choose(chosen: Sequence[int], count: int, model: Path) -> list[int]:
        features = DeepmdModel(model).features(pool, elements)
        rest = np.setdiff1d(np.arange(len(pool)), chosen)
        even = math.ceil(REPRESENTATIVE_FRACTION * count)
        known = TrainingSet.of(features[list(chosen)], [pool[row] for row in chosen])
        offered = [candidates[row] for row in rest]
        choice = choose_frames(offered, count, even, 0, measure, features[rest], known, seed + len(chosen))
        return [int(rest[row]) for row in choice.samplings]

    return choose


def in_order(order: Sequence[int]) -> Choose:
    """Choose by an order that no model changes."""

    def choose(chosen: Sequence[int], count: int, model: Path) -> list[int]:
        return [int(row) for row in order[len(chosen) : len(chosen) + count]]

    return choose


METHODS: dict[str, tuple[Chooser, bool]] = {
    "random": (chance, False),
    "scratch": (chance, False),
    "quests": (entropy, False),
    "ours": (partial(operator, measure=NoveltyMeasure.DISTANCE), True),
    "ours_uncertainty": (partial(operator, measure=NoveltyMeasure.UNCERTAINTY), True),
}
"""Name → chooser, and whether it is the operator's, which sees the models trained so far and weighs what it trains on.
`scratch` trains on what chance chose, but from random parameters."""

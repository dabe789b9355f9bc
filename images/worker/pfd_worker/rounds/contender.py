"""The best model so far, and the one that may take its place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms

from pfd_operator.contract.outcome import ErrorMetrics
from pfd_worker.evaluation.errors import FrameError, frame_errors, squares_of_trajectories
from pfd_worker.evaluation.ratio import Squares
from pfd_worker.evaluation.shift import without_shift
from pfd_worker.families import Family
from pfd_worker.models.base import AtomisticModel, Prediction
from pfd_worker.stage_context import StageContext
from pfd_worker.store.manifests import Manifest
from pfd_worker.summaries import TrainSummary

RELATIVE_ENERGY = "relativeEnergy"
"""Among the squares: energies without the shift of each element that is best on the hold-out itself."""


@dataclass(frozen=True)
class Contender:
    """A model with its errors on the hold-out."""

    file: Path
    metrics: ErrorMetrics
    iteration: int | None
    """None: it was not trained by us."""
    lowest: Squares
    """Of its errors on the hold-out or, quantity by quantity, of one preferred before it whose errors were lower."""


@dataclass(frozen=True)
class Opened:
    """A contender with the model itself, and what that predicts for the hold-out."""

    contender: Contender
    model: AtomisticModel
    predictions: Sequence[Prediction]


def best_of(context: StageContext, trained: Manifest, family: Family, holdout: Sequence[Atoms]) -> Contender:
    """Return the best model up to an earlier train stage."""
    told, file = trained.told(TrainSummary), context.fetch(trained, family.best_file)
    lowest: Squares = {quantity: np.array(squares) for quantity, squares in told["lowest"].items()}
    if not lowest:
        lowest = squares_of(frame_errors(holdout, family.open(file).predict(holdout)))
    return Contender(file, ErrorMetrics.model_validate(told["metrics"]["best"]), told["best_iteration"], lowest)


def squares_of(errors: Sequence[FrameError]) -> Squares:
    """Return the squares of a model's errors on the hold-out, those of relative energies among them."""
    relative = squares_of_trajectories(without_shift(errors, errors))["energy"]
    return {**squares_of_trajectories(errors), RELATIVE_ENERGY: relative}

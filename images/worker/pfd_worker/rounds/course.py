"""The course of a round: labels in, a measured model out."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from ase import Atoms

from pfd_operator.contract.digest import seed_of
from pfd_worker.evaluation.errors import frame_errors
from pfd_worker.frames import GIVEN, is_drawn_evenly
from pfd_worker.models.base import AtomisticModel
from pfd_worker.rounds.base import Round
from pfd_worker.rounds.contender import Contender, Opened, best_of, squares_of
from pfd_worker.rounds.explorer_check import ExplorerCheck
from pfd_worker.rounds.label_check import LabelCheck
from pfd_worker.rounds.output import round_output
from pfd_worker.rounds.samples import samples_of
from pfd_worker.stage_context import StageOutput
from pfd_worker.summaries import TrainSummary
from pfd_worker.training.dataset import split_validation

FRAMES_OF_FIT = 64
"""Of the training set, at most: the relative standard error of an RMSE over n frames is about 1/(2√n)."""


def run_round(round_: Round) -> StageOutput:
    """Do the whole round; who does not lead those that train together only trains."""
    samples = samples_of(round_.context, round_.previous, round_.params.max_failed_fraction)
    label_check = LabelCheck(round_.context, round_.previous, samples)
    label_check.measure(round_.measures)
    first = round_.begin(samples.dataset, samples.holdout)
    explorer_check = _check_explorer(round_, samples.new)
    training = round_.train(samples.dataset, round_.trained)
    if not round_.context.team.leads:
        return StageOutput()
    newest = _measured(round_, samples.holdout)
    if training is not None:
        measure_fit(round_, newest.model, samples.dataset)
    best = _best(round_, first, newest, samples.holdout)
    explorer = _next_explorer(round_, best, newest)
    return round_output(round_, samples, training, best, explorer, explorer_check, label_check)


def _check_explorer(round_: Round, new: Sequence[Atoms]) -> ExplorerCheck:
    """Hold the model that explored against the new labels, if it is an earlier round's."""
    check = ExplorerCheck(round_.context)
    if round_.previous is not None and new and round_.context.team.leads:
        explorer = round_.family.open(round_.context.fetch(round_.previous, round_.family.model_file))
        before = round_.previous.told(TrainSummary)
        check.measure(explorer, new, before, round_.keeps_descriptors, round_.measures)
    return check


def _measured(round_: Round, holdout: Sequence[Atoms]) -> Opened:
    """Measure the trained model."""
    model = round_.family.open(round_.trained)
    predictions = model.predict(holdout)
    errors = frame_errors(holdout, predictions)
    # drawn evenly over the strata: each is judged, by what it got
    round_.measures.take("holdout", errors, fewest_of_stratum=1)
    metrics, squares = round_.measures.metrics["holdout"], squares_of(errors)
    return Opened(Contender(round_.trained, metrics, round_.context.spec.iteration, squares), model, predictions)


def measure_fit(round_: Round, model: AtomisticModel, dataset: Sequence[Atoms]) -> None:
    """Measure the model on frames it was trained on: what it misses there, no further label will bring it.

    Those set aside to choose the checkpoint are none of them, and those chosen for being hard, or that a user gave, say
    nothing of limits that are held against an even sample of this MD; the latter if there are others.
    """
    trained, _ = split_validation(dataset, round_.params.training.validation_fraction)
    even = [atoms for atoms in trained if is_drawn_evenly(atoms)]
    usual = [atoms for atoms in even if atoms.info.get("stratum") != GIVEN] or even
    drawn = np.random.default_rng(seed_of(round_.context.spec.seed, "fit")).permutation(len(usual))
    sample = [usual[row] for row in sorted(drawn[:FRAMES_OF_FIT])]
    if sample:
        round_.measures.take("training", frame_errors(sample, model.predict(sample)))


def _best(round_: Round, first: Contender | None, newest: Opened, holdout: Sequence[Atoms]) -> Opened:
    """Put the best model into its file, and return it: the newest, or the best before it."""
    so_far = first if round_.previous is None else best_of(round_.context, round_.previous, round_.family, holdout)
    best = round_.better(so_far, newest.contender)
    round_.measures.metrics["best"] = best.metrics
    shutil.copyfile(best.file, round_.folder / round_.family.best_file)
    if best.iteration == newest.contender.iteration:
        return replace(newest, contender=best)
    model = round_.family.open(best.file)
    return Opened(best, model, model.predict(holdout))


def _next_explorer(round_: Round, best: Opened, newest: Opened) -> AtomisticModel:
    """Return the model that explores next, which has the file of the trained one: that, if training made any better.

    A model that training made worse than it was does not explore: its MD fails where nobody will go.
    """
    if best.contender.iteration is not None:
        return newest.model
    shutil.copyfile(best.contender.file, round_.trained)
    return best.model

"""A round of training: labels in, a measured model out. What starts it and what it must beat, subclasses say."""

from __future__ import annotations

import json
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from pfd_operator.contract.digest import seed_of
from pfd_operator.contract.outcome import ExplorationCounts, TrainOutcome
from pfd_operator.contract.result import Caution
from pfd_operator.contract.selection import TRAINING
from pfd_operator.contract.stage import Input, TrainParams
from pfd_worker import stage_files
from pfd_worker.evaluation.errors import (
    FEWEST_FRAMES_OF_STRATUM,
    by_stratum,
    frame_errors,
    squares_of_trajectories,
)
from pfd_worker.evaluation.ratio import ErrorRatio, error_ratio
from pfd_worker.families import Family
from pfd_worker.frames import is_drawn_evenly, write_frames
from pfd_worker.md.replay import AimdRun, write_aimd
from pfd_worker.models.base import FEATURE_FORM, AtomisticModel
from pfd_worker.report.dynamics import Dynamics, measure_dynamics
from pfd_worker.report.history import BASELINES
from pfd_worker.report.writing import RoundResult, write_report
from pfd_worker.rounds.contender import Contender, best_of
from pfd_worker.rounds.holdout import samples_before
from pfd_worker.rounds.label_check import LabelCheck
from pfd_worker.rounds.labels import aimd_runs, collect_labels
from pfd_worker.rounds.measures import Measures
from pfd_worker.rounds.prequential import prequential_errors
from pfd_worker.stage_context import StageContext, StageOutput
from pfd_worker.store.manifests import Manifest
from pfd_worker.summaries import PrepareSummary, SelectSummary, TrainSummary
from pfd_worker.training.checkpoints import CheckpointStore
from pfd_worker.training.dataset import split_validation
from pfd_worker.training.runner import Trained, TrainingRun
from pfd_worker.training.session import TrainingSession

FRAMES_OF_FIT = 64
"""Of the training set, at most: the relative standard error of an RMSE over n frames is about 1/(2√n)."""


class Round(ABC):
    """State of one train stage: frames, metrics and reports as they come."""

    def __init__(self, context: StageContext, params: TrainParams, family: Family) -> None:
        self.context = context
        self.params = params
        self.family = family
        self.prepare = context.one(Input.PREPARE)
        self.previous: Manifest | None = context.one(Input.TRAIN) if context.has(Input.TRAIN) else None
        self.folder = context.workdir
        self.measures = Measures(seed_of(context.spec.seed, "bootstrap"))
        self.error_of_novelty: float | None = None
        selected = context.one(Input.SELECT).told(SelectSummary)
        self.force_error_bound = selected["force_error_bound"]
        self.exploration = ExplorationCounts.model_validate(selected["exploration"])
        if self.previous is not None:
            # the previous stage has its manifest: nobody will go on from its checkpoints
            CheckpointStore(context.store, self.previous.told(TrainSummary)["checkpoints"]).clear()

    @abstractmethod
    def begin(self, dataset: list[Atoms], holdout: list[Atoms]) -> Contender | None:
        """Do what comes before the training; return what the first trained model has to beat, None if nothing."""

    @abstractmethod
    def train(self, dataset: list[Atoms], output: Path) -> Trained | None:
        """Train on the dataset and write the model; None if there was nothing to train on."""

    @property
    @abstractmethod
    def earlier_models(self) -> int:
        """Return how many models there are that the one trained here may have to beat."""

    def replaces(self, ratio: ErrorRatio) -> bool:
        """Prefer the later model, unless its errors are surely larger than the lowest of those preferred before it.

        It has seen more labels, and a job ends when the newest models meet their limits. Compared with the last one
        that was preferred instead of the lowest, models could become worse from round to round.

        Parameters
        ----------
        ratio
            Of its errors on the hold-out to the lowest.
        """
        return not ratio.surely_above_one(self.earlier_models)

    @property
    def keeps_descriptors(self) -> bool:
        """Whether the trained model has about the descriptors of the exploring one: novelty is counted in them."""
        return True

    def caution(self, model: AtomisticModel, dataset: Sequence[Atoms]) -> Caution | None:
        """Return what the user should know of a model that works."""
        return None

    def run(self) -> StageOutput:
        """Do the whole round."""
        labels = collect_labels(self.context, self.params.max_failed_fraction)
        new = [atoms for atoms in labels if atoms.info["purpose"] == TRAINING]
        before, holdout, of_holdout = samples_before(
            self.context, self.previous, labels, self.params.max_failed_fraction
        )
        dataset = before + new
        check = LabelCheck(self.context, self.previous, labels, dataset, holdout)
        check.measure(self.measures)
        first = self.begin(dataset, holdout)
        if self.previous is not None and new and self.context.team.leads:
            self._measure_explorer(self.family.open(self.context.fetch(self.previous, self.family.model_file)), new)
        trained = self.folder / self.family.model_file
        training = self.train(dataset, trained)
        if not self.context.team.leads:
            return StageOutput()
        model = self.family.open(trained)
        predictions = model.predict(holdout)
        errors = frame_errors(holdout, predictions)
        # drawn evenly over the strata: each is judged, by what it got
        self.measures.take("holdout", errors, fewest_of_stratum=1)
        if training is not None:
            self._measure_fit(model, dataset)
        newest = Contender(
            trained, self.measures.metrics["holdout"], self.context.spec.iteration, squares_of_trajectories(errors)
        )
        so_far = first if self.previous is None else best_of(self.context, self.previous, self.family, holdout)
        best, best_model = self._choose_best(so_far, newest), model
        if best.iteration != self.context.spec.iteration:
            best_model = self.family.open(best.file)
            predictions = best_model.predict(holdout)
        if best.iteration is None:
            # a model that training made worse than it was does not explore: its MD fails where nobody will go
            shutil.copyfile(best.file, trained)
            model = best_model
        aimd = aimd_runs(self.context, self.previous, labels)
        elements = self.prepare.told(PrepareSummary)["elements"]
        features = model.features(dataset, elements) if dataset else np.zeros((0, 0), dtype=np.float32)
        result = RoundResult(
            reports=self.measures.reports,
            force_error_bound=self.force_error_bound,
            exploration=self.exploration,
            holdout=holdout,
            best_predictions=predictions,
            best_iteration=best.iteration,
            dynamics=self._dynamics(best_model, aimd),
            training_labels=len(dataset),
            error_seed=self.measures.seed,
        )
        files = write_report(self.context, self.previous, result)
        files[stage_files.AIMD] = self.folder / stage_files.AIMD
        write_aimd(files[stage_files.AIMD], aimd)
        files |= check.write(self.folder)
        output = self._output(dataset, holdout, features, training, best, files)
        cautions = [self.caution(model, dataset), check.caution(self.measures.metrics["best"]), *of_holdout]
        told = self._outcome(dataset, list(by_stratum(errors)), training, best)
        return replace(output, outcome=told, cautions=cautions)

    def _measure_fit(self, model: AtomisticModel, dataset: Sequence[Atoms]) -> None:
        """Measure the model on frames it was trained on: what it misses there, no further label will bring it.

        Those set aside to choose the checkpoint are none of them, and those chosen for being hard say nothing of limits
        that are held against an even sample.
        """
        trained, _ = split_validation(dataset, self.params.training.validation_fraction)
        usual = [atoms for atoms in trained if is_drawn_evenly(atoms)]
        drawn = np.random.default_rng(seed_of(self.context.spec.seed, "fit")).permutation(len(usual))
        sample = [usual[row] for row in sorted(drawn[:FRAMES_OF_FIT])]
        if sample:
            self.measures.take("training", frame_errors(sample, model.predict(sample)))

    def _measure_explorer(self, explorer: AtomisticModel, new: list[Atoms]) -> None:
        bound, before = self.force_error_bound, None if self.previous is None else self.previous.told(TrainSummary)
        scale = None if bound is None or before is None else before["error_of_novelty"]
        found = prequential_errors(explorer, new, scale)
        if bound is not None and found.bound_held is not None:
            self.force_error_bound = bound | dict(zip(("held", "frames"), found.bound_held, strict=True))
        # the novelty of the new frames is of the form that their explorer's features have
        if self.keeps_descriptors and (before is None or before["feature_form"] == FEATURE_FORM):
            self.error_of_novelty = found.error_of_novelty
        if found.errors:
            self.measures.take("prequential", found.errors, FEWEST_FRAMES_OF_STRATUM)
        if found.farthest:
            self.measures.take("farthest", found.farthest)

    @property
    def training_folder(self) -> Path:
        """Where the training program runs."""
        return self.folder / "training"

    def training_run(self, begin: Callable[[Sequence[Atoms], int], TrainingSession]) -> TrainingRun:
        """Return a training that goes on where an earlier attempt at this stage was stopped.

        Parameters
        ----------
        begin
            Frames to train on, seed → the program's session in `training_folder`.
        """
        spec, training = self.context.spec, self.params.training
        return TrainingRun(
            folder=self.training_folder,
            begin=begin,
            team=self.context.team,
            checkpoints=CheckpointStore(self.context.store, self.context.work_digest),
            checkpoint_seconds=training.checkpoint_seconds,
            validation_fraction=training.validation_fraction,
            seed=seed_of(spec.seed, "train", spec.iteration),
            progress=self.context.progress,
            stopping=self.context.stopping,
        )

    def _dynamics(self, model: AtomisticModel, aimd: list[AimdRun]) -> Dynamics | None:
        self.context.progress(99, "MD with the best model, for the report")
        seed = seed_of(self.context.spec.seed, "dynamics")
        return measure_dynamics(model, aimd, self.params.training.steps, seed, self.context.stopping)

    def _choose_best(self, best: Contender | None, newest: Contender) -> Contender:
        """Put the best model into its file: the one so far, or the newest."""
        if best is None:
            best = newest
        else:
            ratio = error_ratio(newest.lowest, best.lowest, ["force", *(self.params.limited or ())])
            if self.replaces(ratio):
                best = newest if ratio.log < 0 else replace(newest, lowest=best.lowest)
        shutil.copyfile(best.file, self.folder / self.family.best_file)
        self.measures.metrics["best"] = best.metrics
        return best

    def _output(
        self,
        dataset: list[Atoms],
        holdout: list[Atoms],
        features: Any,
        training: Trained | None,
        best: Contender,
        more_files: dict[str, Path],
    ) -> StageOutput:
        names = [self.family.model_file, self.family.best_file, stage_files.DATASET, stage_files.DATASET_FEATURES]
        names += [stage_files.HOLD_OUT, stage_files.EVALUATION]
        files = {**more_files, **{name: self.folder / name for name in names}}
        write_frames(files[stage_files.DATASET], dataset)
        write_frames(files[stage_files.HOLD_OUT], holdout)
        np.save(files[stage_files.DATASET_FEATURES], features)
        ran = {} if training is None else training.to_json()
        report = {"iteration": self.context.spec.iteration, **self.measures.reports, "training": ran}
        files[stage_files.EVALUATION].write_text(json.dumps(report, indent=1))
        # an attempt that found the last checkpoint had nothing left to train, and so draws no curve
        if training is not None and training.curve.exists():
            files[training.curve.name] = training.curve
        before = {} if self.previous is None else self.previous.told(TrainSummary)["metrics"]
        baselines = {name: before[name] for name in BASELINES if name in before}
        return StageOutput(
            files=files,
            summary=TrainSummary(
                checkpoints=self.context.work_digest,
                best_iteration=best.iteration,
                lowest={quantity: squares.tolist() for quantity, squares in best.lowest.items()},
                metrics={**baselines, **self.measures.errors.to_json()},
                error_of_novelty=self.error_of_novelty,
                feature_form=FEATURE_FORM,
            ),
            model=self.family.best_file,
        )

    def _outcome(
        self, dataset: list[Atoms], strata: list[str], training: Trained | None, best: Contender
    ) -> TrainOutcome:
        return TrainOutcome(
            training_frames=len(dataset),
            holdout_strata=strata,
            holdout_strata_count=len(strata),
            resumed_from_step=0 if training is None else training.resumed_from_step,
            exploration=self.exploration,
            errors=self.measures.errors,
            worst_strata=self.measures.worst_strata,
            best_iteration=best.iteration,
        )

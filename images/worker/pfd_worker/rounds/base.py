"""A round of training: what all kinds of it have, and what starts one and must be beaten, which subclasses say."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from ase import Atoms

from pfd_operator.contract.digest import seed_of
from pfd_operator.contract.result import Caution
from pfd_operator.contract.stage import Input, TrainParams
from pfd_worker.evaluation.ratio import Squares, lowest_of, surely_worse
from pfd_worker.families import Family
from pfd_worker.models.base import AtomisticModel
from pfd_worker.rounds.contender import Contender
from pfd_worker.rounds.measures import Measures
from pfd_worker.stage_context import StageContext
from pfd_worker.store.checkpoints import clear_checkpoints
from pfd_worker.store.manifests import Manifest
from pfd_worker.summaries import TrainSummary
from pfd_worker.training.checkpoints import CheckpointStore
from pfd_worker.training.runner import Trained, TrainingRun
from pfd_worker.training.session import TrainingSession


class Round(ABC):
    """One train stage; `course` goes through it."""

    def __init__(self, context: StageContext, params: TrainParams, family: Family) -> None:
        self.context = context
        self.params = params
        self.family = family
        self.prepare = context.one(Input.PREPARE)
        self.previous: Manifest | None = context.one(Input.TRAIN) if context.has(Input.TRAIN) else None
        self.folder = context.workdir
        self.measures = Measures()
        if self.previous is not None:
            clear_checkpoints(context.store, self.previous.told(TrainSummary)["checkpoints"])

    @abstractmethod
    def begin(self, dataset: list[Atoms], holdout: list[Atoms]) -> Contender | None:
        """Do what comes before the training; return what the first trained model has to beat, None if nothing."""

    @abstractmethod
    def train(self, dataset: list[Atoms], output: Path) -> Trained | None:
        """Train on the dataset and write the model; None if there was nothing to train on."""

    @property
    def baseline(self) -> Squares:
        """Of the model that none may be worse than; empty without one."""
        return {}

    @property
    @abstractmethod
    def earlier_models(self) -> int:
        """Return how many models there are that the one trained here may have to beat."""

    def replaces(self, newest: Contender, so_far: Contender) -> bool:
        """Prefer the later model, unless it is surely worse than those preferred before it.

        It has seen more labels, and a job ends when the newest models meet their limits. Compared with the last one
        that was preferred instead of the lowest errors, models could become worse from round to round.
        """
        return not surely_worse(newest.lowest, so_far.lowest, self.asked, self.earlier_models)

    @property
    def asked(self) -> list[str]:
        """Quantities whose errors count: forces, and what has a limit."""
        return ["force", *(self.params.limited or ())]

    def better(self, so_far: Contender | None, newest: Contender) -> Contender:
        """Return the best model: the one so far, if there is one, or the newest."""
        if so_far is None:
            return newest
        if not self.replaces(newest, so_far):
            return so_far
        return replace(newest, lowest=lowest_of(newest.lowest, so_far.lowest))

    @property
    def keeps_descriptors(self) -> bool:
        """Whether the trained model has about the descriptors of the exploring one: novelty is counted in them."""
        return True

    def caution(self, model: AtomisticModel, dataset: Sequence[Atoms]) -> Caution | None:
        """Return what the user should know of a model that works."""
        return None

    @property
    def trained(self) -> Path:
        """The model that the round trains; it explores next."""
        return self.folder / self.family.model_file

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

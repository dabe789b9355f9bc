"""The history of a job: baselines and one record for each iteration, carried from train stage to train stage."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pfd_operator.contract.outcome import ExplorationCounts
from pfd_operator.contract.stage import TrainParams
from pfd_worker import stage_files
from pfd_worker.report.costs import Cost, StageTime
from pfd_worker.stage_context import StageContext
from pfd_worker.store.manifests import Manifest

BASELINES = ("pretrained", "shifted", "labelNoise", "trainingLabelNoise")
_VERSION = 1


@dataclass(frozen=True)
class IterationRecord:
    """What one train stage had and measured."""

    iteration: int
    training_labels: int
    """Labelled frames in the training set."""
    holdout_labels: int
    best_iteration: int | None
    """Whose model was the best on the hold-out by then; None while no training had beaten the shifted model."""
    errors: dict[str, dict[str, Any]]
    """`holdout`, `prequential` and `farthest`, as `error_report` gives them: whole set, strata, elements."""
    force_error_bound: dict[str, float] | None
    """What the exploring model's error was told to stay below before anything was labelled, as `select` has it; and of
    how many evenly drawn `frames` it `held`, once they were."""
    exploration: ExplorationCounts
    cost: Cost

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "iteration": self.iteration,
            "trainingLabels": self.training_labels,
            "holdoutLabels": self.holdout_labels,
            "bestIteration": self.best_iteration,
            "errors": self.errors,
            "forceErrorBound": self.force_error_bound,
            "exploration": self.exploration.to_json(),
            "cost": self.cost.to_json(),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> IterationRecord:
        """Read what `to_json` gave."""
        return cls(
            iteration=content["iteration"],
            training_labels=content["trainingLabels"],
            holdout_labels=content["holdoutLabels"],
            best_iteration=content["bestIteration"],
            errors=content["errors"],
            force_error_bound=content["forceErrorBound"],
            exploration=ExplorationCounts.model_validate(content["exploration"]),
            cost=Cost.from_json(content["cost"]),
        )

    def trained_in(self, time: StageTime) -> IterationRecord:
        """Return the record with the time of its train stage, which is over when the record is written."""
        return replace(self, cost=replace(self.cost, stages={**self.cost.stages, "train": time}))


@dataclass(frozen=True)
class History:
    """All train stages of a job so far, in order."""

    baselines: dict[str, dict[str, Any]] = field(default_factory=dict)
    """`pretrained` and `shifted`, as `error_report` gives them, on the hold-out, before any training; and, where asked
    for, `labelNoise`, its labels against tighter ones, and `trainingLabelNoise`, the same of frames trained on."""
    iterations: tuple[IterationRecord, ...] = ()

    @property
    def last(self) -> IterationRecord:
        """The newest iteration."""
        return self.iterations[-1]

    def record(self, iteration: int | None) -> IterationRecord | None:
        """Return the record of an iteration, None if there is none."""
        return next((record for record in self.iterations if record.iteration == iteration), None)

    def extended(self, record: IterationRecord, reports: Mapping[str, dict[str, Any]]) -> History:
        """Return the history with one more iteration; a record of the same or a later one gives way to it.

        Parameters
        ----------
        record
            The new iteration.
        reports
            Reports by name, of which the baselines are kept.
        """
        earlier = tuple(known for known in self.iterations if known.iteration < record.iteration)
        measured = {name: reports[name] for name in BASELINES if name in reports}
        return History({**self.baselines, **measured}, (*earlier, record))

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "version": _VERSION,
            "baselines": self.baselines,
            "iterations": [record.to_json() for record in self.iterations],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> History:
        """Read what `to_json` gave.

        Raises
        ------
        ValueError
            If another version wrote it.
        """
        if content["version"] != _VERSION:
            raise ValueError(
                f"{stage_files.HISTORY} is of version {content['version']}, this worker reads version {_VERSION}: "
                "the job was begun with another version of the worker image; finish it with that one"
            )
        return cls(
            baselines=content["baselines"],
            iterations=tuple(IterationRecord.from_json(record) for record in content["iterations"]),
        )

    def write(self, path: Path) -> None:
        """Write the history as JSON."""
        path.write_text(json.dumps(self.to_json(), indent=1, allow_nan=False))


def history_before(context: StageContext, previous: Manifest | None) -> History:
    """Return the history up to the previous train stage, with the time that took."""
    if previous is None:
        return History()
    history = read_history(context, previous)
    pods = context.params(TrainParams).training.nodes
    newest = history.last.trained_in(StageTime(pods, round(pods * previous.result.seconds, 3)))
    return replace(history, iterations=(*history.iterations[:-1], newest))


def read_history(context: StageContext, trained: Manifest) -> History:
    """Return the history that a train stage has left."""
    return History.from_json(json.loads(context.fetch(trained, stage_files.HISTORY).read_text()))

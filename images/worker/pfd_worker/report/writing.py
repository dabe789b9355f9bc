"""Write the report of a train stage: history.json, report.json and report.html."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ase import Atoms

from pfd_operator.contract.digest import seed_of
from pfd_operator.contract.outcome import ExplorationCounts
from pfd_operator.contract.stage import Input
from pfd_worker import stage_files
from pfd_worker.evaluation.errors import frame_errors
from pfd_worker.evaluation.report import error_report
from pfd_worker.models.base import Prediction
from pfd_worker.report.comparison import compare
from pfd_worker.report.costs import cost_of, spending_of
from pfd_worker.report.data import JobName, ReportData, learning_curve
from pfd_worker.report.dynamics import Dynamics
from pfd_worker.report.history import IterationRecord, history_before
from pfd_worker.report.page import render_page
from pfd_worker.report.provenance import provenance_of
from pfd_worker.selection.feature_map import FeatureMap
from pfd_worker.stage_context import StageContext
from pfd_worker.store.manifests import Manifest

REPORT_FILES = (stage_files.HISTORY, stage_files.REPORT_JSON, stage_files.REPORT_PAGE)
MEASURED = ("holdout", "training", "prequential", "farthest")
"""Sets of frames that a round measures a model on."""


@dataclass(frozen=True)
class RoundResult:
    """What a train stage has when it is done."""

    reports: dict[str, dict[str, Any]]
    """By name (pretrained, shifted, prequential, farthest, holdout), as `error_report` gives them."""
    force_error_bound: dict[str, float] | None
    """Of the candidates, as `select` told it before they were labelled, and how often it held."""
    exploration: ExplorationCounts
    """As `select` told it."""
    holdout: Sequence[Atoms]
    best_predictions: Sequence[Prediction]
    """Of the best model so far, for the hold-out."""
    best_iteration: int | None
    dynamics: Dynamics | None
    """MD with that model."""
    training_labels: int
    """Labelled frames in the training set."""
    given_labels: int
    """Of those, the user's own."""


def write_report(context: StageContext, previous: Manifest | None, trained: RoundResult) -> dict[str, Path]:
    """Write the three files into the stage's folder and return them by name."""
    spec = context.spec
    record = IterationRecord(
        iteration=spec.iteration,
        training_labels=trained.training_labels,
        holdout_labels=len(trained.holdout),
        best_iteration=trained.best_iteration,
        errors={name: trained.reports[name] for name in MEASURED if name in trained.reports},
        force_error_bound=trained.force_error_bound,
        exploration=trained.exploration,
        cost=cost_of(context, previous),
    )
    history = history_before(context, previous).extended(record, trained.reports)
    seed = seed_of(spec.seed, "report")
    errors = frame_errors(trained.holdout, trained.best_predictions)
    data = ReportData(
        job=JobName(spec.job.namespace, spec.job.kind, spec.job.name),
        history=history,
        best_iteration=trained.best_iteration,
        best=error_report(errors),
        comparison=compare(trained.holdout, trained.best_predictions, seed),
        dynamics=trained.dynamics,
        features=_map_of_selection(context),
        learning_curve=learning_curve(history, trained.given_labels),
        spending=spending_of(context),
        provenance=provenance_of(context),
    )
    files = {name: context.workdir / name for name in REPORT_FILES}
    history.write(files[stage_files.HISTORY])
    files[stage_files.REPORT_JSON].write_text(json.dumps(data.to_json(), allow_nan=False))
    files[stage_files.REPORT_PAGE].write_text(render_page(data), encoding="utf-8")
    return files


def _map_of_selection(context: StageContext) -> FeatureMap | None:
    if not context.has(Input.SELECT):
        return None
    content = json.loads(context.fetch(context.one(Input.SELECT), stage_files.FEATURE_MAP).read_text())
    return None if content is None else FeatureMap.from_json(content)

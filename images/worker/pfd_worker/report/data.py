"""All that a report shows, in one place: the page and report.json are two views of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from pfd_operator.contract.learning_curve import LabelEstimate, PowerLaw, fit_power_law
from pfd_worker.report.comparison import Comparison, Parity
from pfd_worker.report.costs import Spending
from pfd_worker.report.digits import rounded
from pfd_worker.report.dynamics import Dynamics
from pfd_worker.report.history import History
from pfd_worker.report.provenance import Provenance
from pfd_worker.selection.feature_map import FeatureMap


@dataclass(frozen=True)
class JobName:
    """The custom resource that had the stage computed."""

    namespace: str
    kind: str
    name: str


@dataclass(frozen=True)
class LearningCurve:
    """Hold-out force RMSE against labels beside the given ones, and what follows from it."""

    given: int
    """Labels trained on that were there from the start."""
    law: PowerLaw
    halving: LabelEstimate | None
    """Labels for half of the error that the law gives at the newest iteration; None if out of reach."""


@dataclass(frozen=True)
class ReportData:
    """A report's content."""

    job: JobName
    history: History
    best_iteration: int | None
    """Whose model is the best so far; None is the pre-trained model with its energy shifted."""
    best: dict[str, Any]
    """Errors of that model on the hold-out, as `error_report` gives them."""
    comparison: Comparison
    """That model against the labels of the hold-out."""
    dynamics: Dynamics | None
    """MD with that model; None if there is no AIMD to compare it with."""
    features: FeatureMap | None
    """Of the newest selection."""
    learning_curve: LearningCurve | None
    spending: Spending
    provenance: Provenance

    def to_json(self) -> dict[str, Any]:
        """Return the content of report.json: units are eV, Å and their quotients, as in the page."""
        return {
            "version": 2,
            "job": asdict(self.job),
            "bestIteration": self.best_iteration,
            "best": self.best,
            "history": self.history.to_json(),
            "learningCurve": None if self.learning_curve is None else _curve_json(self.learning_curve),
            "holdout": _comparison_json(self.comparison),
            "dynamics": None if self.dynamics is None else self.dynamics.to_json(),
            "features": None if self.features is None else self.features.to_json(),
            "spending": self.spending.to_json(),
            "provenance": asdict(self.provenance),
        }


def learning_curve(history: History, given: int) -> LearningCurve | None:
    """Fit the hold-out force RMSE of all iterations; None if `fit_power_law` has too little.

    Parameters
    ----------
    history
        With the newest iteration.
    given
        Labels trained on that were there from the start: they do not vary.
    """
    labels = [record.training_labels - given for record in history.iterations]
    law = fit_power_law(labels, [record.errors["holdout"]["forceRmse"] for record in history.iterations])
    if law is None:
        return None
    return LearningCurve(given, law, law.labels_for(law.error_at(max(labels)) / 2))


def _curve_json(curve: LearningCurve) -> dict[str, Any]:
    law = curve.law
    return {
        "givenLabels": curve.given,
        "referenceLabels": law.reference_labels,
        "referenceError": law.reference_error,
        "exponent": law.exponent,
        "exponentInterval": law.exponent_interval,
        "points": law.points,
        "halving": None if curve.halving is None else asdict(curve.halving),
    }


def _comparison_json(comparison: Comparison) -> dict[str, Any]:
    bins, errors = comparison.force_bins, comparison.force_errors
    return {
        "energyPerAtom": _parity_json(comparison.energy),
        "forceComponents": _parity_json(comparison.forces),
        "virialPerAtom": None if comparison.virial is None else _parity_json(comparison.virial),
        "forceErrorByForce": {"edges": rounded(bins.edges), "rmse": rounded(bins.rmse), "atoms": rounded(bins.atoms)},
        "forceErrorHistogram": {"edges": rounded(errors.edges), "counts": rounded(errors.counts)},
    }


def _parity_json(parity: Parity) -> dict[str, Any]:
    systems = sorted(set(parity.systems))
    return {
        "label": rounded(parity.label),
        "predicted": rounded(parity.predicted),
        "systems": systems,
        "system": [systems.index(name) for name in parity.systems],
        "total": parity.total,
    }

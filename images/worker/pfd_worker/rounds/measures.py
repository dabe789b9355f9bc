"""Errors of a round's models, as they are measured: few numbers for the result, full reports for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pfd_operator.contract.outcome import ErrorMetrics, TrainingErrors, TrainingStrata, WorstStrata
from pfd_worker.evaluation.errors import FrameError, worst_strata
from pfd_worker.evaluation.report import error_report


@dataclass
class Measures:
    """By the names that `TrainingErrors` has in JSON."""

    metrics: dict[str, ErrorMetrics] = field(default_factory=dict)
    reports: dict[str, Any] = field(default_factory=dict)
    """JSON: see `error_report`."""
    _worst_strata: dict[str, WorstStrata] = field(default_factory=dict)

    def take(self, name: str, errors: Sequence[FrameError], fewest_of_stratum: int | None = None) -> None:
        """Keep the errors of a set of frames.

        Parameters
        ----------
        name
            Of the set and the model.
        errors
            Of each frame.
        fewest_of_stratum
            Frames that a stratum needs to be judged by itself; None: strata are not judged.
        """
        report = error_report(errors)
        # the report begins with them
        self.metrics[name] = ErrorMetrics.model_validate(report)
        self.reports[name] = report
        if fewest_of_stratum is not None:
            self._worst_strata[name] = worst_strata(errors, fewest_of_stratum)

    @property
    def errors(self) -> TrainingErrors:
        """What was measured, for the planner."""
        return TrainingErrors.model_validate(self.metrics)

    @property
    def worst_strata(self) -> TrainingStrata:
        """The worst strata of the sets that are judged by stratum."""
        return TrainingStrata.model_validate(self._worst_strata)

"""The check of the model that explored: whether its errors on the labels it led to are what was told before."""

from __future__ import annotations

from collections.abc import Sequence

from ase import Atoms

from pfd_operator.contract.outcome import ExplorationCounts
from pfd_operator.contract.stage import Input
from pfd_worker.evaluation.errors import FEWEST_FRAMES_OF_STRATUM
from pfd_worker.models.base import FEATURE_FORM, AtomisticModel
from pfd_worker.rounds.measures import Measures
from pfd_worker.rounds.prequential import prequential_errors
from pfd_worker.stage_context import StageContext
from pfd_worker.summaries import SelectSummary, TrainSummary


class ExplorerCheck:
    """What `select` told of an exploration, and what the new labels say of it.

    Parameters
    ----------
    context
        The train stage.
    """

    def __init__(self, context: StageContext) -> None:
        selected = context.one(Input.SELECT).told(SelectSummary) if context.has(Input.SELECT) else None
        self.exploration = ExplorationCounts.model_validate(selected["exploration"] if selected else {})
        self.force_error_bound = selected["force_error_bound"] if selected else None
        """Of the candidates, before they were labelled; once measured, with how often it held."""
        self.error_of_novelty: float | None = None
        """As `Prequential` has it; None as well where the next model's novelty is of another unit."""

    def measure(
        self,
        explorer: AtomisticModel,
        new: Sequence[Atoms],
        before: TrainSummary,
        keeps_descriptors: bool,
        measures: Measures,
    ) -> None:
        """Measure the model that explored.

        Parameters
        ----------
        new
            Frames to train on that were labelled in this round.
        before
            What the stage told that trained the model.
        keeps_descriptors
            As `Round` says.
        measures
            Takes its errors.
        """
        bound = self.force_error_bound
        found = prequential_errors(explorer, new, None if bound is None else before["error_of_novelty"])
        if bound is not None and found.bound_held is not None:
            self.force_error_bound = bound | dict(zip(("held", "frames"), found.bound_held, strict=True))
        # the novelty of the new frames is of the form that their explorer's features have
        if keeps_descriptors and before["feature_form"] == FEATURE_FORM:
            self.error_of_novelty = found.error_of_novelty
        if found.errors:
            measures.take("prequential", found.errors, FEWEST_FRAMES_OF_STRATUM)
        if found.farthest:
            measures.take("farthest", found.farthest)

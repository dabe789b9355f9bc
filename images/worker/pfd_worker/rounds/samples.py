"""The labelled frames of a round: those that are trained on, and the hold-out."""

from __future__ import annotations

from dataclasses import dataclass

from ase import Atoms

from pfd_operator.contract.result import Caution
from pfd_operator.contract.selection import TRAINING
from pfd_operator.contract.stage import Input
from pfd_worker import stage_files
from pfd_worker.frames import read_frames
from pfd_worker.rounds.holdout import CAUTIONS_OF_HOLD_OUT, apart_from, given_and_holdout, left_out_of_training
from pfd_worker.rounds.labels import collect_labels
from pfd_worker.stage_context import StageContext
from pfd_worker.store.manifests import Manifest
from pfd_worker.summaries import SelectSummary
from pfd_worker.training.weights import weigh


@dataclass(frozen=True)
class Samples:
    """Labelled frames by what they are for."""

    labels: list[Atoms]
    """All of this round's, those by tighter settings among them."""
    new: list[Atoms]
    """Those of them to train on, without what is of the hold-out, too."""
    dataset: list[Atoms]
    """All that is trained on: before the new ones those of earlier rounds, or that the user gave."""
    holdout: list[Atoms]
    """The frozen hold-out."""
    cautions: list[Caution | None]
    """Of the hold-out."""

    @property
    def strata(self) -> list[str]:
        """Of the hold-out."""
        return sorted({str(atoms.info["stratum"]) for atoms in self.holdout})


def samples_of(context: StageContext, previous: Manifest | None, max_failed_fraction: float) -> Samples:
    """Return the samples of a round.

    Parameters
    ----------
    context
        Of a train stage.
    previous
        The last one; None in the first round, which makes the hold-out.
    max_failed_fraction
        As `collect_labels`.

    Raises
    ------
    StageError
        As `collect_labels` and `holdout_labels`.
    """
    labels = collect_labels(context, max_failed_fraction) if context.has(Input.LABEL) else []
    equal: list[Atoms] = []
    if previous is None:
        given, holdout, cautions = given_and_holdout(context, labels, max_failed_fraction)
        before, equal = apart_from(holdout, given)
    else:
        names = (stage_files.DATASET, stage_files.HOLD_OUT)
        before, holdout = (read_frames(context.fetch(previous, name)) for name in names)
        cautions = [each for each in previous.result.cautions if each.reason in CAUTIONS_OF_HOLD_OUT]
    new, also_equal = apart_from(holdout, [atoms for atoms in labels if atoms.info["purpose"] == TRAINING])
    cautions = [*cautions, left_out_of_training(equal + also_equal)]
    if context.has(Input.SELECT):
        weigh(before + new, context.one(Input.SELECT).told(SelectSummary)["asked_of_strata"])
    return Samples(labels, new, before + new, holdout, cautions)

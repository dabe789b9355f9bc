"""The noise check of labels: those by tighter settings so far, and how far from them the others are."""

from __future__ import annotations

from pathlib import Path

from pfd_operator.contract.outcome import ErrorMetrics
from pfd_operator.contract.result import Caution
from pfd_operator.contract.selection import NOISE
from pfd_worker import stage_files
from pfd_worker.evaluation.noise import differences, label_noise, not_converged, training_noise
from pfd_worker.frames import read_frames, write_frames
from pfd_worker.rounds.measures import Measures
from pfd_worker.rounds.samples import Samples
from pfd_worker.stage_context import StageContext
from pfd_worker.store.manifests import Manifest


class LabelCheck:
    """The labels of a round against tighter ones of the same frames, where a job asks for such.

    Parameters
    ----------
    context
        The train stage.
    previous
        The train stage before it, if there is one: what is trained on stays, and so do the tighter labels.
    samples
        Of the round.
    """

    def __init__(self, context: StageContext, previous: Manifest | None, samples: Samples) -> None:
        self._is_first = previous is None
        self._tighter = [atoms for atoms in samples.labels if atoms.info["purpose"] == NOISE]
        if previous is not None and stage_files.TIGHTER in previous.files:
            self._tighter = read_frames(context.fetch(previous, stage_files.TIGHTER)) + self._tighter
        found = differences(self._tighter, samples.holdout)
        self._of_holdout = label_noise(found)
        self._of_training = training_noise(differences(self._tighter, samples.dataset), found)

    def measure(self, measures: Measures) -> None:
        """Keep the differences: of the hold-out, which stays as it is, once."""
        if self._of_holdout and self._is_first:
            measures.take("labelNoise", self._of_holdout)
        if self._of_training:
            measures.take("trainingLabelNoise", [error for _, error in self._of_training])

    def caution(self, model: ErrorMetrics) -> Caution | None:
        """Return a remark on labels that are trained on and far off, beside the errors of the best model."""
        return not_converged(self._of_training, self._of_holdout, model)

    def write(self, folder: Path) -> dict[str, Path]:
        """Write the tighter labels for the next round, if there are any; return the file by its name."""
        if not self._tighter:
            return {}
        write_frames(folder / stage_files.TIGHTER, self._tighter)
        return {stage_files.TIGHTER: folder / stage_files.TIGHTER}

"""A student: trained from scratch, or on from the last round's, on labels of the teacher."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ase import Atoms

from pfd_operator.contract.result import Caution, CautionReason, Reason
from pfd_worker.errors import user_error
from pfd_worker.md.cells import short_cells
from pfd_worker.models.base import AtomisticModel
from pfd_worker.models.checkpoint import inspect_checkpoint
from pfd_worker.rounds.base import Round
from pfd_worker.summaries import PrepareSummary
from pfd_worker.training.deepmd_session import DeepmdSession
from pfd_worker.training.deepmd_settings import base_input
from pfd_worker.training.recipe import Purpose
from pfd_worker.training.runner import Trained
from pfd_worker.training.student import student_model_section


class StudentRound(Round):
    """See the module."""

    def begin(self, dataset: list[Atoms], holdout: list[Atoms]) -> None:
        """Refuse to train on nothing; there is no baseline: the teacher's labels are the truth.

        So the first student is the best so far. That the later of two good ones is kept suits students most: the
        hold-out is of the teacher's MD, and only later rounds were shown where a student's own MD leads.
        """
        if not dataset:
            raise user_error(
                Reason.LABELS_FAILED,
                "the teacher has labelled no frame to train on: see failures.json of the label stage for why.",
            )

    def train(self, dataset: list[Atoms], output: Path) -> Trained | None:
        """Train from scratch, or from the last round's student."""
        if self.params.student is None:
            raise ValueError("a student's round needs a student")
        if self.previous is not None and self.params.continues:
            purpose, start = Purpose.CONTINUATION, self.context.fetch(self.previous, self.family.model_file)
            # its own: the sizes that "auto" stood for are fixed in it
            section = inspect_checkpoint(start).model_section
        else:
            purpose, start = Purpose.SCRATCH, None
            section = student_model_section(self.params.student, self.prepare.told(PrepareSummary)["elements"])
        settings = base_input(self.params.training, section, purpose)
        run = self.training_run(
            lambda frames, seed: DeepmdSession(self.training_folder, settings, purpose, start, frames, seed)
        )
        return run.run(dataset, output)

    @property
    def keeps_descriptors(self) -> bool:
        """Only if it goes on from the last student: from scratch it is another random network."""
        return bool(self.params.continues)

    def caution(self, model: AtomisticModel, dataset: Sequence[Atoms]) -> Caution | None:
        """Name the systems in whose cells an atom feels the same neighbour from two sides."""
        return short_cells(dataset, model.cutoff, CautionReason.SHORT_CELLS_OF_STUDENT)

    @property
    def earlier_models(self) -> int:
        """One of each round from 1 on."""
        return self.context.spec.iteration - 1

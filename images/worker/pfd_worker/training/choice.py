"""Which checkpoint of a training is kept: the best on frames that were set aside, not the last."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ase import Atoms

from pfd_operator.contract.result import Reason
from pfd_worker.errors import StageError
from pfd_worker.evaluation.errors import energy_rmse_per_atom, force_rmse, frame_errors
from pfd_worker.training.session import TrainingSession

_log = logging.getLogger(__name__)

ENERGY_WEIGHT_PER_ANGSTROM = 1.0
"""1 meV per atom of energy error weighs as much as 1 meV/Å of force error.

Forces decide: a frame has 3N of them and one energy, whose error on few validation frames crosses zero by chance.
"""


@dataclass(frozen=True)
class CheckpointScore:
    """Validation errors of one checkpoint."""

    path: Path
    step: int
    force_rmse: float
    """In eV/Å."""
    energy_rmse_per_atom: float
    """In eV."""

    @property
    def score(self) -> float:
        """The smaller, the better, in eV/Å."""
        return self.force_rmse + ENERGY_WEIGHT_PER_ANGSTROM * self.energy_rmse_per_atom


def score_checkpoints(session: TrainingSession, validation: Sequence[Atoms]) -> list[CheckpointScore]:
    """Evaluate every checkpoint on the validation frames, in this process.

    One that gives values that are not numbers is left out: those before it may be sound.

    Raises
    ------
    StageError
        NotANumber, if none is sound.
    """
    scores: list[CheckpointScore] = []
    unsound: StageError | None = None
    for path in session.checkpoints():
        try:
            errors = frame_errors(validation, session.open(path).predict(validation))
        except StageError as error:
            if error.reason is not Reason.NOT_A_NUMBER:
                raise
            unsound = error
            _log.warning("the checkpoint of step %d is left out: %s", session.step_of(path), error)
            continue
        # what is trained on has an energy
        energy = energy_rmse_per_atom(errors) or 0.0
        scores.append(CheckpointScore(path, session.step_of(path), force_rmse(errors), energy))
    if unsound is not None and not scores:
        raise unsound
    return scores

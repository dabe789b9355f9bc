"""Which checkpoint of a training is kept: the best on frames that were set aside, not the last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ase import Atoms

from pfd_worker.evaluation.errors import energy_rmse_per_atom, force_rmse, frame_errors
from pfd_worker.training.session import TrainingSession

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
    """Evaluate every checkpoint on the validation frames, in this process."""
    scores = []
    for path in session.checkpoints():
        errors = frame_errors(validation, session.open(path).predict(validation))
        # what is trained on has an energy
        energy = energy_rmse_per_atom(errors) or 0.0
        scores.append(CheckpointScore(path, session.step_of(path), force_rmse(errors), energy))
    return scores

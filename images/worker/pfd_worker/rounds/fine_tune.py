"""Fine-tuning: every round starts from the pre-trained model with its zero of energy moved to the reference's."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from ase import Atoms

from pfd_worker.evaluation.errors import frame_errors
from pfd_worker.evaluation.shift import apply_energy_shift, fit_energy_shift
from pfd_worker.models.checkpoint import shift_energy_bias
from pfd_worker.models.deepmd import DeepmdModel
from pfd_worker.rounds.base import Contender, Round
from pfd_worker.training.recipe import Purpose
from pfd_worker.training.runner import Trained


class FineTuneRound(Round):
    """See the module."""

    def begin(self, dataset: list[Atoms], holdout: list[Atoms]) -> None:
        """Shift the energy; at first, measure what is there before any training."""
        source = self.context.fetch(self.prepare, "model.pt")
        pretrained = DeepmdModel(source)
        shifts = fit_energy_shift(frame_errors(dataset, pretrained.predict(dataset)))
        self.reports["energyShiftsEv"] = shifts
        self.shifted = self.folder / "shifted.pt"
        shift_energy_bias(source, shifts, self.shifted)
        if self.previous is None:
            errors = frame_errors(holdout, pretrained.predict(holdout))
            self.measure("pretrained", errors)
            self.measure("shifted", apply_energy_shift(errors, shifts))

    def train(self, dataset: list[Atoms], output: Path) -> Trained | None:
        """Fine-tune the shifted model; without data, it is the model."""
        if not dataset:
            shutil.copyfile(self.shifted, output)
            return None
        base_input = json.loads(self.context.fetch(self.prepare, "deepmd_input.json").read_text())
        return self.training_run(base_input, self.shifted, Purpose.FINE_TUNING).run(dataset, output)

    def first_contender(self) -> Contender | None:
        """Return the shifted pre-trained model: one worse than it is never promoted."""
        return Contender(self.shifted, self.metrics["shifted"], None)

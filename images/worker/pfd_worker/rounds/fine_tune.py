"""Fine-tuning: from the pre-trained model, or the best one so far, with its zero of energy moved to the reference's."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase import Atoms

from pfd_operator.contract.digest import seed_of
from pfd_operator.contract.result import Caution
from pfd_worker import stage_files
from pfd_worker.evaluation.errors import frame_errors, squares_of_trajectories
from pfd_worker.evaluation.ratio import Squares, error_ratio
from pfd_worker.evaluation.sample import MOST_FRAMES, spread_over_compositions
from pfd_worker.evaluation.shift import apply_energy_shift, fit_energy_shift, only_determined
from pfd_worker.evaluation.sources import by_source, check_zeros, zero_open
from pfd_worker.evaluation.units import check_units
from pfd_worker.frames import SOURCE
from pfd_worker.models.base import AtomisticModel, Prediction
from pfd_worker.rounds.base import Round
from pfd_worker.rounds.contender import RELATIVE_ENERGY, Contender, squares_of
from pfd_worker.summaries import TrainSummary
from pfd_worker.training.runner import Trained


class FineTuneRound(Round):
    """See the module."""

    _baseline: Squares | None = None

    def begin(self, dataset: list[Atoms], holdout: list[Atoms]) -> Contender | None:
        """Shift the energy; at first, measure what is there before any training.

        A model worse than the shifted pre-trained one is never promoted.
        """
        source = self.context.fetch(self.prepare, self.family.model_file)
        pretrained = self.family.open(source)
        sample = self._sample(dataset)
        predictions = pretrained.predict(sample)
        _check_units_of_sources(sample, predictions)
        errors = frame_errors(sample, predictions)
        self.zero_open = zero_open(sample, holdout)
        shifts = fit_energy_shift(errors)
        self.measures.reports["energyShiftsEv"] = shifts
        self.shifted = self.folder / f"shifted{self.family.kind.suffix}"
        self.family.shift_energy(source, shifts, self.shifted)
        given = any(SOURCE in atoms.info for atoms in holdout)
        # without AIMD, a job whose hold-out is given has its first computed labels in iteration 1
        if self.baseline and not (given and self.context.spec.iteration == 1):
            return None
        predicted = pretrained.predict(holdout)
        _check_units_of_sources(holdout, predicted)
        held_out = frame_errors(holdout, predicted)
        check_zeros([*sample, *holdout], [*errors, *held_out])
        self._baseline = squares_of(held_out)
        if self.previous is not None:
            return None
        self.measures.take("pretrained", held_out)
        # it is measured once: an energy by an unknown zero would be what all later ones are compared with
        shifted = only_determined(apply_energy_shift(held_out, shifts), errors)
        self.measures.take("shifted", shifted)
        return Contender(self.shifted, self.measures.metrics["shifted"], None, squares_of_trajectories(shifted))

    @property
    def baseline(self) -> Squares:
        """Of the pre-trained model, whose forces and relative energies no shift changes."""
        if self._baseline is None:
            told = {} if self.previous is None else self.previous.told(TrainSummary)["baseline"]
            self._baseline = {quantity: np.array(squares) for quantity, squares in told.items()}
        return self._baseline

    def _sample(self, dataset: list[Atoms]) -> list[Atoms]:
        """Return at most `MOST_FRAMES` of each source: all that a user has given would be predicted in every round."""
        seed = seed_of(self.context.spec.seed, "energy shift")
        chosen: list[int] = []
        for rows in by_source(dataset).values():
            mine = spread_over_compositions([dataset[row] for row in rows], MOST_FRAMES, seed)
            chosen += [rows[place] for place in mine]
        return [dataset[row] for row in sorted(chosen)]

    def train(self, dataset: list[Atoms], output: Path) -> Trained | None:
        """Fine-tune the shifted model, or the best one so far; without data, the shifted one is the model."""
        if not dataset:
            shutil.copyfile(self.shifted, output)
            return None
        section = json.loads(self.context.fetch(self.prepare, stage_files.MODEL_SECTION).read_text())
        settings = self.family.base_input(self.params.training, section)
        start = self._start(dataset)
        run = self.training_run(
            lambda frames, seed: self.family.fine_tune(self.training_folder, settings, start, frames, seed)
        )
        return run.run(dataset, output)

    def _start(self, dataset: list[Atoms]) -> Path:
        if self.previous is None or not self.params.continues:
            return self.shifted
        # the best and not the newest: that may be one that few odd labels have spoilt
        best = self.context.fetch(self.previous, self.family.best_file)
        sample = self._sample(dataset)
        errors = frame_errors(sample, self.family.open(best).predict(sample))
        start = self.folder / f"start{self.family.kind.suffix}"
        self.family.shift_energy(best, fit_energy_shift(errors), start)
        return start

    def replaces(self, newest: Contender, so_far: Contender) -> bool:
        """As all rounds do, but a model that is not better than the shifted one is never kept."""
        return self._beats_baseline(newest.lowest) and super().replaces(newest, so_far)

    def _beats_baseline(self, squares: Squares) -> bool:
        """Say whether what is asked for is better, taken together, and neither forces nor energies are surely worse.

        Energies count in both models without their own shift: where the zero lies, the labels may not have told.
        """
        asked = [RELATIVE_ENERGY if quantity == "energy" else quantity for quantity in self.asked]
        known = [quantity for quantity in asked if self.baseline[quantity].any()]
        mine, its = (math.prod(float(each[name].sum()) for name in known) for each in (squares, self.baseline))
        never_worse = ["force", RELATIVE_ENERGY]
        ratios = [error_ratio(squares, self.baseline, [quantity]) for quantity in never_worse]
        return mine < its and not any(ratio.surely_above(1.0, len(ratios)) for ratio in ratios)

    def caution(self, model: AtomisticModel, dataset: Sequence[Atoms]) -> Caution | None:
        """Name what has no zero of energy yet."""
        return self.zero_open

    @property
    def earlier_models(self) -> int:
        """The shifted one, and one of each iteration from 0 on."""
        return 1 + self.context.spec.iteration


def _check_units_of_sources(frames: Sequence[Atoms], predictions: Sequence[Prediction]) -> None:
    for origin, rows in by_source(frames).items():
        check_units([frames[row] for row in rows], [predictions[row] for row in rows], origin)

"""`sevenn train`: fine-tuning of SevenNet's models by its own trainer, which counts epochs; we count steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from ase.stress import full_3x3_to_voigt_6_stress

from pfd_worker.frames import energy_of, virial_of
from pfd_worker.models.sevennet import SevennetModel
from pfd_worker.models.sevennet_checkpoint import strip_checkpoint
from pfd_worker.training.curve import CurvePoint, last_row
from pfd_worker.training.launch import CHILD
from pfd_worker.training.on_request import requested, requested_step
from pfd_worker.training.session import attempt_seed, written_out
from pfd_worker.training.sevennet_settings import CHECKPOINTS_PER_TRAINING, complete_input

CURVE_FILE = "lc.csv"
_CHECKPOINT_PREFIX = "checkpoint_"


@dataclass(frozen=True)
class SevennetSession:
    """See the module."""

    folder: Path
    base_input: dict[str, Any]
    """Of `training.sevennet_settings.base_input`."""
    start: Path
    """Checkpoint to start from."""
    frames: Sequence[Atoms]
    """Trained on."""
    seed: int
    program: str = "sevenn train"
    distributed: bool = False
    curve_file: str = CURVE_FILE

    @property
    def _steps_per_epoch(self) -> int:
        return math.ceil(len(self.frames) / int(self.base_input["data"]["batch_size"]))

    @property
    def _epochs_asked(self) -> int:
        return math.ceil(int(self.base_input["steps"]) / self._steps_per_epoch)

    @property
    def _checkpoint_epochs(self) -> int:
        return max(1, self._epochs_asked // CHECKPOINTS_PER_TRAINING)

    @property
    def _epochs(self) -> int:
        # the last one gets a checkpoint, too
        return math.ceil(self._epochs_asked / self._checkpoint_epochs) * self._checkpoint_epochs

    @property
    def steps(self) -> int:
        """Training ends after so many: those asked for, and on to the next checkpoint."""
        return self._epochs * self._steps_per_epoch

    def command(self, resumed: Path | None) -> list[str]:
        """Write data and input; return the command line."""
        write(self.folder / "train.extxyz", [labels_for_sevenn(atoms) for atoms in self.frames])
        start = resumed or self.start
        seed = attempt_seed(self.seed, self.step_of(resumed) if resumed else 0)
        settings = complete_input(
            self.base_input, self._epochs, self._checkpoint_epochs, seed, start, resumed is not None
        )
        (self.folder / "input.yaml").write_text(yaml.safe_dump(settings))
        return [*CHILD, "sevenn", "train", "input.yaml", "--screen"]

    def last_point(self) -> CurvePoint | None:
        """Return the end of lc.csv, whose rows are epochs."""
        row = last_row(self.folder / CURVE_FILE, ",")
        if row is None:
            return None
        values = {name: float(text) for name, text in row.items()}
        force = next((value for name, value in values.items() if name.startswith("trainset_Force")), None)
        loss = next((value for name, value in values.items() if name.startswith("trainset_TotalLoss")), 0.0)
        return CurvePoint(int(values["epoch"]) * self._steps_per_epoch, loss, force)

    def checkpoints(self) -> list[Path]:
        """Return the complete ones that the best is chosen of, oldest first; number 0 is what training started from."""
        files = (path for path in self.folder.glob(f"{_CHECKPOINT_PREFIX}*.pth") if self._epoch_of(path) > 0)
        return written_out(sorted(files, key=self.step_of))

    def checkpoint(self, step: int) -> Path:
        """Return where the checkpoint of a step is."""
        if step % (self._checkpoint_epochs * self._steps_per_epoch):
            return requested(self.folder, step)
        return self.folder / f"{_CHECKPOINT_PREFIX}{step // self._steps_per_epoch}.pth"

    def step_of(self, checkpoint: Path) -> int:
        """Return the step of a checkpoint, checkpoint_<epoch>.pth, or of one that was asked for."""
        return requested_step(checkpoint) or self._epoch_of(checkpoint) * self._steps_per_epoch

    def _epoch_of(self, checkpoint: Path) -> int:
        number = checkpoint.stem.removeprefix(_CHECKPOINT_PREFIX)
        # checkpoint_best.pth is a copy that is overwritten
        return int(number) if number.isdigit() else 0

    def open(self, checkpoint: Path) -> SevennetModel:
        """Load a checkpoint for prediction."""
        return SevennetModel(checkpoint)

    def strip(self, checkpoint: Path, output: Path) -> None:
        """Write the model of a checkpoint alone."""
        strip_checkpoint(checkpoint, output)


def labels_for_sevenn(atoms: Atoms) -> Atoms:
    """Return the frame with its labels, stress for virial, and nothing else that the reader could take for one."""
    frame, virial = atoms.copy(), virial_of(atoms)
    frame.info = {}
    stress = {} if virial is None else {"stress": full_3x3_to_voigt_6_stress(-virial / atoms.get_volume())}
    frame.calc = SinglePointCalculator(frame, energy=energy_of(atoms), forces=atoms.get_forces(), **stress)
    return frame

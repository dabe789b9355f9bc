"""`dp --pt train`: fine-tuning of deepmd-kit's models, and all students."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from pfd_worker.frames import is_extreme
from pfd_worker.models.checkpoint import load_checkpoint, strip_checkpoint
from pfd_worker.models.deepmd import DeepmdModel
from pfd_worker.training.curve import CurvePoint, last_row
from pfd_worker.training.deepmd_sets import write_deepmd_sets
from pfd_worker.training.deepmd_settings import CHECKPOINT_PREFIX, CURVE_FILE, complete_input
from pfd_worker.training.launch import CHILD
from pfd_worker.training.on_request import requested, requested_step
from pfd_worker.training.recipe import RECIPES, Purpose
from pfd_worker.training.session import attempt_seed, written_out
from pfd_worker.training.statistics import bound_statistics
from pfd_worker.training.weights import copies_in_training


@dataclass(frozen=True)
class DeepmdSession:
    """See the module."""

    folder: Path
    base_input: dict[str, Any]
    """Of `training.deepmd_settings.base_input`."""
    purpose: Purpose
    """The one `base_input` was made for."""
    start: Path | None
    """Single-task checkpoint to start from; None if the purpose is to start from scratch."""
    frames: Sequence[Atoms]
    """Trained on."""
    seed: int
    program: str = "dp train"
    distributed: bool = True
    curve_file: str = CURVE_FILE

    def __post_init__(self) -> None:
        """Refuse a start that does not fit the purpose."""
        if (self.start is None) != (RECIPES[self.purpose].start_option is None):
            raise ValueError(f"a training for {self.purpose} cannot start from {self.start}")

    @property
    def steps(self) -> int:
        """Training ends after so many."""
        return int(self.base_input["training"]["numb_steps"])

    def command(self, resumed: Path | None) -> list[str]:
        """Write data and input; return the command line."""
        types, copies = self.base_input["model"]["type_map"], copies_in_training(self.frames)
        folders = write_deepmd_sets(self.frames, types, self.folder / "data", copies)
        seed = attempt_seed(self.seed, self.step_of(resumed) if resumed else 0)
        settings = complete_input(self.base_input, folders, _force_rms(self.frames), seed)
        if self.purpose is Purpose.SCRATCH:
            bound_statistics(settings, self.frames)
        (self.folder / "input.json").write_text(json.dumps(settings, indent=1))
        return [*CHILD, *train_command(self.purpose, self._start_from(resumed))]

    def _start_from(self, resumed: Path | None) -> list[str]:
        if resumed is not None:
            return ["--restart", str(resumed)]
        option = RECIPES[self.purpose].start_option
        if option is None or self.start is None:
            return []
        start = self.folder / "start.pt"
        copy_for_init(self.start, start)
        return [option, str(start)]

    def last_point(self) -> CurvePoint | None:
        """Return the end of lcurve.out."""
        row = last_row(self.folder / CURVE_FILE)
        if row is None:
            return None
        numbers = {name: float(text) for name, text in row.items()}
        # columns without reference data are NaN by themselves
        return CurvePoint(int(numbers["step"]), numbers.get("rmse_trn", 0.0), numbers.get("rmse_f_trn"))

    def checkpoints(self) -> list[Path]:
        """Return the complete checkpoints that the best is chosen of, oldest first."""
        files = (path for path in self.folder.glob(f"{CHECKPOINT_PREFIX}-*.pt") if not path.is_symlink())
        return written_out(sorted(files, key=self.step_of))

    def checkpoint(self, step: int) -> Path:
        """Return where the checkpoint of a step is."""
        if step % int(self.base_input["training"]["save_freq"]) and step != self.steps:
            return requested(self.folder, step)
        return self.folder / f"{CHECKPOINT_PREFIX}-{step}.pt"

    def step_of(self, checkpoint: Path) -> int:
        """Return the step in the name of a checkpoint, model.ckpt-<step>.pt, or of one that was asked for."""
        return requested_step(checkpoint) or int(checkpoint.stem.removeprefix(f"{CHECKPOINT_PREFIX}-"))

    def open(self, checkpoint: Path) -> DeepmdModel:
        """Load a checkpoint for prediction."""
        return DeepmdModel(checkpoint)

    def strip(self, checkpoint: Path, output: Path) -> None:
        """Write the model of a checkpoint alone."""
        strip_checkpoint(checkpoint, output)


def train_command(purpose: Purpose, start_from: Sequence[str]) -> list[str]:
    """Return the command line of a training in the folder that holds input.json."""
    statistics = [] if RECIPES[purpose].neighbour_statistics else ["--skip-neighbor-stat"]
    return ["dp", "--pt", "train", "input.json", *statistics, *start_from]


def copy_for_init(checkpoint: Path, output: Path) -> None:
    """Write a checkpoint with the key `optimizer`: `--init-model` wants it to be there, and does not read it."""
    import torch

    torch.save({"model": load_checkpoint(checkpoint), "optimizer": {}}, output)


def _force_rms(frames: Sequence[Atoms]) -> float:
    """Return the RMS of the force components in eV/Å; extreme frames are not what the others are measured by."""
    usual = [atoms for atoms in frames if not is_extreme(atoms)]
    return float(np.sqrt(np.mean(np.concatenate([atoms.get_forces().ravel() for atoms in usual or frames]) ** 2)))

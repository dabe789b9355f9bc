"""Train a model on labelled frames, from a checkpoint or from scratch; survives being stopped."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ase import Atoms

from pfd_operator.contract.digest import seed_of
from pfd_worker.models.checkpoint import load_checkpoint, strip_checkpoint
from pfd_worker.training.checkpoints import CheckpointStore
from pfd_worker.training.choice import score_checkpoints
from pfd_worker.training.curve import CurvePoint
from pfd_worker.training.dataset import split_validation, write_deepmd_sets
from pfd_worker.training.process import TrainingProcess, all_checkpoints, step_of
from pfd_worker.training.recipe import RECIPES, Purpose
from pfd_worker.training.settings import complete_input


@dataclass(frozen=True)
class Trained:
    """What a training gave."""

    step: int
    """Of the checkpoint that was kept."""
    resumed_from_step: int
    validation: list[dict[str, float]]
    """step, forceRmse (eV/Å) and energyRmsePerAtom (eV) of every checkpoint, if frames were set aside."""
    training_frames: int
    validation_frames: int


@dataclass
class TrainingRun:
    """One training in a folder of its own."""

    folder: Path
    base_input: dict[str, Any]
    """Of `training.settings.base_input`."""
    start: Path | None
    """Single-task checkpoint to start from; None if the purpose is to start from scratch."""
    checkpoints: CheckpointStore
    checkpoint_seconds: float
    validation_fraction: float
    seed: int
    progress: Callable[[float, str], None]
    stopping: threading.Event
    purpose: Purpose = Purpose.FINE_TUNING
    """The one `base_input` was made for."""

    def __post_init__(self) -> None:
        """Refuse a start that does not fit the purpose."""
        if (self.start is None) != (RECIPES[self.purpose].start_option is None):
            raise ValueError(f"a training for {self.purpose} cannot start from {self.start}")

    def run(self, frames: Sequence[Atoms], output: Path) -> Trained:
        """Train and write the best checkpoint, without optimizer state, to `output`.

        Raises
        ------
        StageError
            See `TrainingProcess.run`.
        """
        training, validation = split_validation(frames, self.validation_fraction, seed_of(self.seed, "validation"))
        self.folder.mkdir(parents=True, exist_ok=True)
        resumed = self.checkpoints.fetch_newest(self.folder)
        resumed_from = step_of(resumed) if resumed else 0
        if resumed_from < self._steps:
            self._train(training, resumed)
        candidates = all_checkpoints(self.folder)
        scores = score_checkpoints(candidates, validation) if validation else []
        best = min(scores, key=lambda s: (s.score, -s.step)).path if scores else candidates[-1]
        strip_checkpoint(best, output)
        return Trained(
            step=step_of(best),
            resumed_from_step=resumed_from,
            validation=[
                {"step": s.step, "forceRmse": s.force_rmse, "energyRmsePerAtom": s.energy_rmse_per_atom} for s in scores
            ],
            training_frames=len(training),
            validation_frames=len(validation),
        )

    @property
    def _steps(self) -> int:
        return int(self.base_input["training"]["numb_steps"])

    def _train(self, training: Sequence[Atoms], resumed: Path | None) -> None:
        import torch

        systems = write_deepmd_sets(training, self.base_input["model"]["type_map"], self.folder / "data")
        seed = seed_of(self.seed, "training") % 2**31
        settings = complete_input(self.base_input, systems, len(training), seed)
        (self.folder / "input.json").write_text(json.dumps(settings, indent=1))
        process = TrainingProcess(
            self.folder,
            self._start_from(resumed),
            self.checkpoint_seconds,
            neighbour_statistics=RECIPES[self.purpose].neighbour_statistics,
            gpus=torch.cuda.device_count(),
        )
        process.run(_Watcher(self.checkpoints, self._steps, self.progress), self.stopping)

    def _start_from(self, resumed: Path | None) -> list[str]:
        if resumed is not None:
            return ["--restart", str(resumed)]
        option = RECIPES[self.purpose].start_option
        if option is None or self.start is None:
            return []
        start = self.folder / "start.pt"
        copy_for_init(self.start, start)
        return [option, str(start)]


def copy_for_init(checkpoint: Path, output: Path) -> None:
    """Write a checkpoint with the key `optimizer`: `--init-model` wants it to be there, and does not read it."""
    import torch

    torch.save({"model": load_checkpoint(checkpoint), "optimizer": {}}, output)


class _Watcher:
    """Tells progress with the time left, and takes checkpoints to the store."""

    def __init__(self, checkpoints: CheckpointStore, steps: int, progress: Callable[[float, str], None]) -> None:
        self._checkpoints = checkpoints
        self._steps = steps
        self._progress = progress
        self._first: tuple[float, int] | None = None

    def on_point(self, point: CurvePoint) -> None:
        now = time.monotonic()
        self._first = self._first or (now, point.step)
        done = point.step - self._first[1]
        left = f", {(now - self._first[0]) / done * (self._steps - point.step):.0f} s left" if done else ""
        force = point.values.get("rmse_f_trn")
        error = "" if force is None else f", force RMSE {force:.3f} eV/Å (training batch)"
        self._progress(100 * point.step / self._steps, f"step {point.step} of {self._steps}{error}{left}")

    def on_checkpoint(self, path: Path, step: int) -> None:
        self._checkpoints.save(path, step)

"""Train a model on labelled frames, from a checkpoint or from scratch; survives being stopped."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ase import Atoms

from pfd_operator.contract.digest import seed_of
from pfd_worker.team import Team
from pfd_worker.training.checkpoints import CheckpointStore
from pfd_worker.training.choice import score_checkpoints
from pfd_worker.training.curve import CurvePoint
from pfd_worker.training.dataset import split_validation
from pfd_worker.training.process import TrainingProcess
from pfd_worker.training.session import TrainingSession


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
    curve: Path
    """The program's learning curve."""

    def to_json(self) -> dict[str, Any]:
        """Return the numbers."""
        return {name: value for name, value in vars(self).items() if name != "curve"}


@dataclass
class TrainingRun:
    """One training in a folder of its own."""

    folder: Path
    begin: Callable[[Sequence[Atoms], int], TrainingSession]
    """Frames to train on, seed → the program's session in the folder."""
    team: Team
    checkpoints: CheckpointStore
    checkpoint_seconds: float
    validation_fraction: float
    seed: int
    progress: Callable[[float, str], None]
    stopping: threading.Event

    def run(self, frames: Sequence[Atoms], output: Path) -> Trained | None:
        """Train and write the best checkpoint, without optimizer state, to `output`; None if another pod does that.

        Raises
        ------
        StageError
            See `TrainingProcess.run`.
        """
        training, validation = split_validation(frames, self.validation_fraction)
        self.folder.mkdir(parents=True, exist_ok=True)
        session = self.begin(training, seed_of(self.seed, "training"))
        resumed = self.checkpoints.fetch_newest(session.checkpoint)
        resumed_from = session.step_of(resumed) if resumed else 0
        if resumed_from < session.steps:
            watcher = _Watcher(self.checkpoints, session, bool(validation), self.progress)
            TrainingProcess(session, self.checkpoint_seconds, self.team).run(resumed, watcher, self.stopping)
        if not self.team.leads:
            return None
        if validation and resumed:
            self.checkpoints.fetch_models(session.checkpoint, resumed_from)
        scores = score_checkpoints(session, validation) if validation else []
        best = min(scores, key=lambda s: (s.score, -s.step)).path if scores else session.checkpoints()[-1]
        session.strip(best, output)
        return Trained(
            step=session.step_of(best),
            resumed_from_step=resumed_from,
            validation=[
                {"step": s.step, "forceRmse": s.force_rmse, "energyRmsePerAtom": s.energy_rmse_per_atom} for s in scores
            ],
            training_frames=len(training),
            validation_frames=len(validation),
            curve=session.folder / session.curve_file,
        )


class _Watcher:
    """Tells progress with the time left, and takes checkpoints to the store."""

    def __init__(
        self,
        checkpoints: CheckpointStore,
        session: TrainingSession,
        choice: bool,
        progress: Callable[[float, str], None],
    ) -> None:
        self._checkpoints = checkpoints
        self._session = session
        self._choice = choice
        self._steps = session.steps
        self._progress = progress
        self._first: tuple[float, int] | None = None

    def on_point(self, point: CurvePoint) -> None:
        now = time.monotonic()
        self._first = self._first or (now, point.step)
        done = point.step - self._first[1]
        left = f", {(now - self._first[0]) / done * (self._steps - point.step):.0f} s left" if done else ""
        error = "" if point.force_rmse is None else f", force RMSE {point.force_rmse:.3f} eV/Å (training batch)"
        self._progress(100 * point.step / self._steps, f"step {point.step} of {self._steps}{error}{left}")

    def on_checkpoint(self, path: Path, step: int) -> None:
        self._checkpoints.save(path, step)

    def on_candidate(self, path: Path, step: int) -> None:
        if self._choice:
            model = path.with_name("model-alone.pt")
            self._session.strip(path, model)
            self._checkpoints.save_model(model, step)
            model.unlink()

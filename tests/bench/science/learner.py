"""One training as the operator does it: the energy shifted first, deepmd-kit's trainer, its last checkpoint."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ase import Atoms

from pfd_operator.contract.settings import Training
from pfd_worker.evaluation.errors import frame_errors
from pfd_worker.evaluation.shift import fit_energy_shift
from pfd_worker.families import FAMILIES, ModelFamily
from pfd_worker.models.deepmd import DeepmdModel
from pfd_worker.training.deepmd_session import DeepmdSession
from pfd_worker.training.deepmd_settings import base_input
from pfd_worker.training.recipe import Purpose

DEEPMD = FAMILIES[ModelFamily.DEEPMD]


def train(
    start: Path | None, architecture: Path, frames: Sequence[Atoms], training: Training, output: Path, seed: int
) -> None:
    """Train on some labels and write the model.

    Parameters
    ----------
    start
        The pre-trained model; None trains from random parameters.
    architecture
        A model of the same architecture.
    frames
        Labelled.
    training
        Steps and learning rates.
    output
        The model to write (.pt); its log stays beside it.
    seed
        Of batches and of new parameters.
    """
    purpose = Purpose.SCRATCH if start is None else Purpose.FINE_TUNING
    with tempfile.TemporaryDirectory(dir=output.parent) as folder:
        work = Path(folder)
        info = DEEPMD.extract(architecture, None, work / "start.pt", "--model")
        shifted = None
        if start is not None:
            errors = frame_errors(frames, DeepmdModel(start).predict(frames))
            shifted = work / "shifted.pt"
            DEEPMD.shift_energy(work / "start.pt", fit_energy_shift(errors), shifted)
        session = DeepmdSession(work, base_input(training, info.model_section, purpose), purpose, shifted, frames, seed)
        log = output.with_suffix(".log")
        with log.open("w") as lines:
            # data-loader processes cost more than they bring for small frames
            environment = {**os.environ, "NUM_WORKERS": "0"}
            subprocess.run(session.command(None), cwd=work, check=True, stdout=lines, stderr=lines, env=environment)
        shutil.move(session.checkpoints()[-1], output)

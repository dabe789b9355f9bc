"""One training as the operator does it: from the pre-trained model, its energy shifted, or from random parameters."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ase import Atoms
from finetune_trial import fine_tune, run

from pfd_operator.contract.model_source import ModelFamily
from pfd_operator.contract.training import Training
from pfd_worker.families import FAMILIES
from pfd_worker.training.deepmd_session import DeepmdSession
from pfd_worker.training.deepmd_settings import base_input
from pfd_worker.training.recipe import Purpose

DEEPMD = FAMILIES[ModelFamily.DEEPMD]
PROGRAM = (sys.executable, "-m", "tests.bench.science.train_from_memory")


def train(
    pretrained: Path, frames: Sequence[Atoms], training: Training, output: Path, seed: int, scratch: bool = False
) -> None:
    """Train on some labels and write the model.

    Parameters
    ----------
    pretrained
        The model to start from, or whose architecture to train from scratch.
    frames
        Labelled.
    training
        Steps and learning rates.
    output
        The model to write (.pt); its log stays beside it.
    seed
        Of batches and of new parameters.
    scratch
        From random parameters.
    """
    with tempfile.TemporaryDirectory(dir=output.parent) as parent:
        folder = Path(parent) / "training"
        if scratch:
            folder.mkdir()
            section = DEEPMD.extract(pretrained, None, folder / "architecture.pt", "--model").model_section
            settings = base_input(training, section, Purpose.SCRATCH)
            checkpoint = run(DeepmdSession(folder, settings, Purpose.SCRATCH, None, frames, seed), folder, PROGRAM)
        else:
            checkpoint = fine_tune(DEEPMD, pretrained, frames, training, folder, seed, PROGRAM)
        shutil.move(folder / "log", output.with_suffix(".log"))
        shutil.move(checkpoint, output)

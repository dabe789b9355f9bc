"""Tiny students trained on EMT labels in seconds, for tests of training, freezing and compression."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ase import Atoms

from pfd_operator.contract.student import StudentTraining
from pfd_worker.training.deepmd_session import DeepmdSession
from pfd_worker.training.deepmd_settings import base_input
from pfd_worker.training.recipe import Purpose
from pfd_worker.training.runner import TrainingRun
from tests.unit.worker.tiny_pretrained import emt_frames
from tests.unit.worker.training_runs import run_in

TYPE_MAP = ["Al", "Cu"]
SE_A = {
    "type_map": TYPE_MAP,
    "descriptor": {
        "type": "se_e2_a", "sel": "auto:1.5", "rcut": 4.0, "rcut_smth": 0.5, "neuron": [4, 8], "axis_neuron": 4,
        "type_one_side": True,
    },
    "fitting_net": {"neuron": [16, 16]},
}  # fmt: skip
DPA1 = {
    "type_map": TYPE_MAP,
    "descriptor": {
        "type": "dpa1", "sel": "auto:1.5", "rcut": 4.0, "rcut_smth": 0.5, "neuron": [4, 8], "axis_neuron": 4,
        "attn_layer": 0, "tebd_dim": 4, "tebd_input_mode": "strip", "smooth_type_embedding": True,
        "type_one_side": True,
    },
    "fitting_net": {"neuron": [16, 16]},
}  # fmt: skip


def alloy_frames(count: int, seed: int) -> list[Atoms]:
    """Return frames of both elements."""
    return emt_frames("Al", count, 0.1, seed) + emt_frames("Cu", count, 0.1, seed + 1)


def student_run(
    folder: Path,
    section: dict[str, Any],
    start: Path | None = None,
    progress: Callable[[float, str], None] = lambda percent, message: None,
    stopping: threading.Event | None = None,
    **training: Any,
) -> TrainingRun:
    """Return a training in `folder`/training with checkpoints in `folder`/store."""
    purpose = Purpose.SCRATCH if start is None else Purpose.CONTINUATION
    settings = StudentTraining(**{"steps": 40, **training})
    given = base_input(settings, section, purpose)
    return run_in(
        folder,
        settings,
        lambda place, frames, seed: DeepmdSession(place, given, purpose, start, frames, seed),
        progress,
        stopping,
    )

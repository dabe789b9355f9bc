"""Models to time: the examples' small teacher, one of the size of those that are published, and a student."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from finetune_trial import run

from pfd_operator.contract.student import Preset, Student, StudentTraining
from pfd_worker.frames import labelled
from pfd_worker.models.checkpoint import extract_branch
from pfd_worker.models.frozen import compress, freeze
from pfd_worker.training.deepmd_session import DeepmdSession
from pfd_worker.training.deepmd_settings import base_input
from pfd_worker.training.recipe import Purpose
from pfd_worker.training.student import student_model_section

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "pretrained" / "dpa2-group-iv.pt"
DPA3: dict[str, Any] = {
    "type_map": ["Si"],
    "descriptor": {
        "type": "dpa3",
        "repflow": {
            "n_dim": 128, "e_dim": 64, "a_dim": 32, "nlayers": 6, "e_rcut": 6.0, "e_rcut_smth": 5.3, "e_sel": 120,
            "a_rcut": 4.0, "a_rcut_smth": 3.5, "a_sel": 30, "axis_neuron": 4, "skip_stat": True, "a_compress_rate": 1,
            "a_compress_e_rate": 2, "a_compress_use_split": True, "update_angle": True, "update_style": "res_residual",
            "update_residual": 0.1, "update_residual_init": "const", "smooth_edge_update": True,
            "use_dynamic_sel": True, "sel_reduce_factor": 10.0,
        },
        "activation_function": "custom_silu:10.0",
        "use_tebd_bias": False,
        "precision": "float32",
        "concat_output_tebd": False,
    },
    "fitting_net": {"neuron": [240, 240, 240], "precision": "float32", "activation_function": "custom_silu:10.0"},
}  # fmt: skip
"""deepmd-kit's example of a DPA-3 (examples/water/dpa3/input_torch.json), 6 layers."""


def small_teacher(folder: Path) -> Path:
    """Return the examples' DPA-2 of 0.03 million parameters."""
    path = folder / "dpa2-small.pt"
    extract_branch(EXAMPLE, "Group_IV_Elements", path, "--model")
    return path


def large_teacher(folder: Path) -> Path:
    """Return a DPA-3 with random parameters: what it predicts is nothing, the time that takes is that of a real one."""
    import torch
    from deepmd.pt.model.model import get_model
    from deepmd.pt.train.wrapper import ModelWrapper

    path = folder / "dpa3.pt"
    wrapper = ModelWrapper(get_model(DPA3), model_params=DPA3)
    torch.save({"model": wrapper.state_dict()}, path)
    return path


def student(folder: Path, preset: Preset, steps: int = 200) -> Path:
    """Return a compressed copper student, trained a little on EMT: enough for MD to hold together."""
    place = folder / f"student-{preset}"
    place.mkdir(parents=True, exist_ok=True)
    section = student_model_section(Student(preset=preset), ["Cu"])
    settings = base_input(StudentTraining(steps=steps), section, Purpose.SCRATCH)
    checkpoint = run(DeepmdSession(place, settings, Purpose.SCRATCH, None, copper(40), 7), place)
    freeze(checkpoint, folder / f"frozen-{preset}.pth")
    compress(folder / f"frozen-{preset}.pth", folder / f"student-{preset}.pth")
    return folder / f"student-{preset}.pth"


def copper(count: int) -> list[Atoms]:
    """Return labelled cells of 32 atoms."""
    frames = []
    for seed in range(count):
        atoms = bulk("Cu", cubic=True).repeat(2)
        atoms.rattle(0.1, seed=seed)
        atoms.calc = EMT()
        frames.append(labelled(atoms, atoms.get_potential_energy(), atoms.get_forces()))
    return frames


def silicon(count: int, repeat: tuple[int, int, int]) -> list[Atoms]:
    """Return cells whose labels are noise of the size of forces: for times only."""
    rng, frames = np.random.default_rng(7), []
    for seed in range(count):
        atoms = bulk("Si", cubic=True).repeat(repeat)
        atoms.rattle(0.05, seed=seed)
        frames.append(labelled(atoms, -5.4 * len(atoms), rng.normal(0, 1, (len(atoms), 3)), np.zeros((3, 3))))
    return frames

"""The smallest SevenNet: trained by sevenn on a few EMT labels, in seconds."""

from __future__ import annotations

import subprocess
from pathlib import Path

import yaml
from ase.io import write

from pfd_worker.training.sevennet_session import labels_for_sevenn
from tests.unit.worker.tiny_pretrained import emt_frames

ELEMENTS = ["Al", "Cu"]


def make_tiny(folder: Path) -> Path:
    """Return a checkpoint that knows Al and Cu."""
    frames = emt_frames("Al", 4, 0.05, seed=1) + emt_frames("Cu", 4, 0.05, seed=2)
    write(folder / "train.extxyz", [labels_for_sevenn(atoms) for atoms in frames])
    settings = {
        "model": {
            "chemical_species": ELEMENTS, "cutoff": 4.0, "channel": 4, "lmax": 1, "num_convolution_layer": 2,
            "weight_nn_hidden_neurons": [8], "self_connection_type": "linear",
        },
        "train": {"random_seed": 1, "epoch": 2, "per_epoch": 2, "optim_param": {"lr": 0.01},
            "scheduler_param": {"gamma": 1.0}, "is_train_stress": True},
        "data": {
            "batch_size": 4, "load_trainset_path": ["train.extxyz"], "shift": "elemwise_reference_energies",
            "scale": "force_rms",
        },
    }  # fmt: skip
    (folder / "input.yaml").write_text(yaml.safe_dump(settings))
    subprocess.run(["sevenn", "train", "input.yaml"], cwd=folder, check=True, capture_output=True)
    return folder / "checkpoint_2.pth"

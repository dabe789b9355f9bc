"""The smallest honest pre-trained model: DPA-2 with two branches, trained on EMT labels of fcc metals in seconds."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator

TYPE_MAP = ["Al", "Ni", "Cu"]
BRANCHES = ["Cold", "Hot"]


def emt_frames(element: str, count: int, displacement: float, seed: int, repeat: int = 1) -> list[Atoms]:
    """Return rattled and strained conventional fcc cells with EMT energy, forces and virial."""
    rng = np.random.default_rng(seed)
    frames = []
    for _ in range(count):
        atoms = bulk(element, "fcc", cubic=True).repeat((repeat, 1, 1))
        atoms.set_cell(atoms.cell @ (np.eye(3) + rng.normal(0, 0.01, (3, 3))), scale_atoms=True)
        atoms.positions += rng.normal(0, displacement, atoms.positions.shape)
        frames.append(emt_label(atoms))
    return frames


def emt_label(atoms: Atoms) -> Atoms:
    """Return a copy with EMT results as a label: energy, forces, info virial."""
    frame = atoms.copy()
    frame.calc = EMT()
    energy, forces = frame.get_potential_energy(), frame.get_forces()
    virial = -frame.get_volume() * frame.get_stress(voigt=False)
    frame.calc = SinglePointCalculator(frame, energy=energy, forces=forces)
    frame.info["virial"] = virial
    return frame


def model_section(fitting_seed: int) -> dict[str, Any]:
    descriptor = {
        "type": "dpa2",
        "repinit": {
            "tebd_dim": 4,
            "rcut": 5.0,
            "rcut_smth": 0.5,
            "nsel": 60,
            "neuron": [4, 8],
            "axis_neuron": 4,
            "activation_function": "tanh",
            "three_body_sel": 40,
            "three_body_rcut": 4.0,
            "three_body_rcut_smth": 3.5,
            "use_three_body": False,
        },
        "repformer": {
            "rcut": 4.0,
            "rcut_smth": 3.5,
            "nsel": 30,
            "nlayers": 1,
            "g1_dim": 8,
            "g2_dim": 4,
            "attn2_hidden": 4,
            "attn2_nhead": 2,
            "attn1_hidden": 8,
            "attn1_nhead": 2,
            "axis_neuron": 4,
            "update_h2": False,
            "update_g1_has_conv": True,
            "update_g1_has_grrg": True,
            "update_g1_has_drrd": True,
            "update_g1_has_attn": False,
            "update_g2_has_g1g1": False,
            "update_g2_has_attn": True,
            "attn2_has_gate": True,
            "update_style": "res_residual",
        },
        "add_tebd_to_repinit_out": False,
        "seed": 1,
    }
    return {
        "type_map": TYPE_MAP,
        "descriptor": descriptor,
        "fitting_net": {"neuron": [16, 16], "resnet_dt": True, "seed": fitting_seed},
    }


def make_pretrained(folder: Path, steps: int = 60) -> Path:
    """Train the two-branch checkpoint in `folder` (about half a minute on one core) and return its path."""
    import dpdata

    shared = model_section(1)
    models: dict[str, Any] = {}
    data: dict[str, Any] = {}
    losses: dict[str, Any] = {}
    for number, branch in enumerate(BRANCHES):
        systems = dpdata.MultiSystems(type_map=TYPE_MAP)
        for offset, element in enumerate(TYPE_MAP):
            for atoms in emt_frames(element, 20, 0.05 + 0.1 * number, seed=10 * number + offset):
                atoms.calc.results["stress"] = -atoms.info["virial"] / atoms.get_volume()
                systems.append(dpdata.LabeledSystem(atoms, fmt="ase/structure"))
        systems.to_deepmd_npy(str(folder / branch))
        models[branch] = {"type_map": "map", "descriptor": "descriptor", "fitting_net": shared["fitting_net"]}
        losses[branch] = {"type": "ener", "start_pref_e": 0.2, "limit_pref_e": 20, "start_pref_f": 100,
                          "limit_pref_f": 60, "start_pref_v": 0.02, "limit_pref_v": 1}  # fmt: skip
        data[branch] = {
            "training_data": {"systems": [str(p) for p in sorted((folder / branch).iterdir())], "batch_size": 2}
        }
    settings = {
        "model": {"shared_dict": {"map": TYPE_MAP, "descriptor": shared["descriptor"]}, "model_dict": models},
        "learning_rate": {"type": "exp", "start_lr": 2e-3, "stop_lr": 1e-4, "decay_steps": 10},
        "loss_dict": losses,
        "training": {
            "model_prob": dict.fromkeys(BRANCHES, 0.5),
            "data_dict": data,
            "numb_steps": steps,
            "seed": 3,
            "save_freq": steps,
            "disp_freq": max(1, steps // 5),
            "save_ckpt": "model.ckpt",
        },
    }
    (folder / "input.json").write_text(json.dumps(settings))
    environment = {**os.environ, "NUM_WORKERS": "0", "OMP_NUM_THREADS": "1"}
    subprocess.run(["dp", "--pt", "train", "input.json"], cwd=folder, check=True, env=environment, capture_output=True)
    return folder / "model.ckpt.pt"

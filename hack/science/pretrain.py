"""Train the example's pre-trained model: a tiny DPA-2 with one branch for elements and one for compounds.

Reads the trajectories of pretraining_frames.py, writes deepmd-kit's data and input, trains (going on from the newest
checkpoint if there is one) and writes the model without optimiser state.

    pretrain.py --frames build/pretraining --workdir build/dpa2 --steps 7500 \
        --output examples/pretrained/dpa2-group-iv.pt
    pretrain.py … --export-only        # write the model of the newest checkpoint while training goes on
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import dpdata
import torch
from ase import Atoms
from ase.io import iread

TYPE_MAP = ["Si", "Ge", "C", "Sn"]
BRANCHES = {"Group_IV_Elements": 0.6, "Group_IV_Compounds": 0.4}
SEED = 20240617


def read_training_frames(folder: Path) -> dict[str, list[Atoms]]:
    """Return the training frames of each branch; frames with a force above 20 eV/Å are left out."""
    frames: dict[str, list[Atoms]] = defaultdict(list)
    for path in sorted(folder.glob("*.extxyz")):
        for atoms in iread(path):
            if not atoms.info["hold_out"] and abs(atoms.get_forces()).max() < 20.0:
                frames[str(atoms.info["branch"])].append(atoms)
    missing = set(BRANCHES) - set(frames)
    if missing:
        names = ", ".join(sorted(missing))
        raise SystemExit(f"{folder}: no training frames of {names}; run pretraining_frames.py first")
    return frames


def write_data(frames: list[Atoms], folder: Path) -> list[str]:
    """Write frames as mixed-type deepmd data, one system for each number of atoms, and return the systems."""
    systems = dpdata.MultiSystems(type_map=TYPE_MAP)
    for atoms in frames:
        systems.append(dpdata.LabeledSystem(atoms, fmt="ase/structure", type_map=TYPE_MAP))
    shutil.rmtree(folder, ignore_errors=True)
    systems.to("deepmd/npy/mixed", str(folder))
    return sorted(str(path.parent) for path in folder.rglob("type.raw"))


def descriptor() -> dict[str, Any]:
    """Return the DPA-2 descriptor: 5 Å of two-body repinit, two repformer layers of 32 and 16 channels within 4 Å."""
    return {
        "type": "dpa2",
        "repinit": {
            "tebd_dim": 8,
            "rcut": 5.0,
            "rcut_smth": 0.5,
            "nsel": 64,
            "neuron": [8, 16, 32],
            "axis_neuron": 4,
            "activation_function": "tanh",
            "use_three_body": False,
        },
        "repformer": {
            "rcut": 4.0,
            "rcut_smth": 3.0,
            "nsel": 40,
            "nlayers": 2,
            "g1_dim": 32,
            "g2_dim": 16,
            "attn2_hidden": 16,
            "attn2_nhead": 2,
            "attn1_hidden": 32,
            "attn1_nhead": 2,
            "axis_neuron": 4,
            "update_h2": False,
            "update_g1_has_conv": True,
            "update_g1_has_grrg": True,
            "update_g1_has_drrd": True,
            "update_g1_has_attn": False,
            "update_g2_has_g1g1": False,
            "update_g2_has_attn": False,
            "update_style": "res_residual",
            "update_residual": 0.01,
            "update_residual_init": "norm",
            "use_sqrt_nnei": True,
            "g1_out_conv": True,
            "g1_out_mlp": True,
        },
        "precision": "float64",
        "add_tebd_to_repinit_out": False,
        "seed": SEED,
    }


def training_input(systems: dict[str, list[str]], steps: int) -> dict[str, Any]:
    """Return deepmd-kit's multi-task input."""
    loss = {
        "type": "ener",
        "start_pref_e": 0.2,
        "limit_pref_e": 20,
        "start_pref_f": 100,
        "limit_pref_f": 60,
        "start_pref_v": 0.02,
        "limit_pref_v": 1,
    }
    models = {
        branch: {
            "type_map": "elements",
            "descriptor": "dpa2",
            "fitting_net": {"neuron": [64, 64, 64], "resnet_dt": True, "precision": "float64", "seed": SEED + i},
            "data_stat_nbatch": 40,
        }
        for i, branch in enumerate(BRANCHES)
    }
    data = {
        branch: {"training_data": {"systems": systems[branch], "batch_size": "auto:32"}, "stat_file": f"stat-{branch}"}
        for branch in BRANCHES
    }
    return {
        "model": {"shared_dict": {"elements": TYPE_MAP, "dpa2": descriptor()}, "model_dict": models},
        "learning_rate": {"type": "exp", "start_lr": 2e-3, "stop_lr": 1e-5, "decay_steps": max(1, steps // 100)},
        "loss_dict": dict.fromkeys(BRANCHES, loss),
        "training": {
            "model_prob": BRANCHES,
            "data_dict": data,
            "numb_steps": steps,
            "warmup_steps": 0,
            "gradient_max_norm": 5.0,
            "seed": SEED,
            "disp_file": "lcurve.out",
            "disp_freq": 200,
            "save_freq": 500,
            "max_ckpt_keep": 2,
        },
    }


def newest_checkpoint(workdir: Path) -> Path | None:
    """Return the checkpoint that deepmd-kit last named, or None before the first."""
    pointer = workdir / "checkpoint"
    return workdir / pointer.read_text().split()[-1] if pointer.exists() else None


def export(checkpoint: Path, output: Path) -> None:
    """Write a checkpoint's model without the optimiser's state, which fine-tuning does not read."""
    saved = torch.load(checkpoint, map_location="cpu", weights_only=True)
    output.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"model": saved["model"]}, output)
    print(f"{output}: from {checkpoint.name}, {output.stat().st_size} bytes")


def main(arguments: list[str] | None = None) -> int:
    """Write data and input once, train or go on training, export."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=Path, required=True, help="folder of pretraining_frames.py")
    parser.add_argument("--workdir", type=Path, required=True, help="folder of data, checkpoints and learning curve")
    parser.add_argument("--output", type=Path, required=True, help="the model to write (.pt)")
    parser.add_argument("--steps", type=int, default=7500, help="training steps")
    parser.add_argument("--export-only", action="store_true", help="only write the model of the newest checkpoint")
    options = parser.parse_args(arguments)
    workdir: Path = options.workdir.resolve()
    workdir.mkdir(parents=True, exist_ok=True)
    checkpoint = newest_checkpoint(workdir)
    if not options.export_only:
        if not (workdir / "input.json").exists():
            frames = read_training_frames(options.frames)
            systems = {branch: write_data(frames[branch], workdir / "data" / branch) for branch in BRANCHES}
            (workdir / "input.json").write_text(json.dumps(training_input(systems, options.steps), indent=1))
        command = ["dp", "--pt", "train", "input.json", "--skip-neighbor-stat"]
        if checkpoint is not None:
            command += ["--restart", checkpoint.name]
        # Data-loader processes cost more than they bring for frames of 8 atoms.
        subprocess.run(command, cwd=workdir, check=True, env={**os.environ, "NUM_WORKERS": "0"})
        checkpoint = newest_checkpoint(workdir)
    if checkpoint is None:
        raise SystemExit(f"{workdir}: no checkpoint yet; train first")
    export(checkpoint, options.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())

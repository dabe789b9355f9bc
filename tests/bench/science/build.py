"""Make the models, and the pools: MD of one of the models, SevenNet's labels. Runs in the worker's test image.

Done again, it goes on where it stopped: a file that is there is not made again.

    build.py --folder build/science salt alloy oxide
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from pretrain import descriptor, export, newest_checkpoint
from pretraining_frames import sevennet
from sevenn.calculator import SevenNetCalculator

from pfd_worker.frames import labelled, read_frames, write_frames
from pfd_worker.md.trajectory import run_trajectory
from pfd_worker.models.deepmd import DeepmdModel
from pfd_worker.training.deepmd_sets import write_deepmd_sets
from pfd_worker.training.loss import LOSS
from tests.bench.science.committed import MODEL
from tests.bench.science.pools import POOLS, TYPE_MAP, Pool, known_crystals

SEED = 20261124
FRAMES_OF_A_CRYSTAL = 60
PRETRAINING_STEPS = 5000
MIN_DISTANCE_FACTOR = 0.6

DISPLACEMENTS_ANGSTROM = (0.02, 0.25)
"""Range of the standard deviation of an atom's displacement in the crystals that the model learns from. As universal
models do, it knows crystals near rest and too little of what is far from it (Deng et al., npj Comput. Mater. 11, 9
(2025))."""
VOLUMETRIC_STRAIN = 0.05
"""Largest change of the cell's edges, as a fraction."""
STRAIN = 0.02
"""Standard deviation of each component of the strain."""


def label(frames: Sequence[Atoms], calculator: SevenNetCalculator) -> list[Atoms]:
    """Return the frames with energy (eV), forces (eV/Å) and virial (eV)."""
    result = []
    for frame in frames:
        atoms = frame.copy()
        atoms.calc = calculator
        virial = -atoms.get_volume() * atoms.get_stress(voigt=False)
        result.append(labelled(frame, atoms.get_potential_energy(), atoms.get_forces(), virial))
    return result


def shaken(crystal: Atoms, rng: np.random.Generator) -> Atoms:
    """Return a crystal strained and with its atoms displaced."""
    atoms = crystal.copy()
    strain = rng.normal(0.0, STRAIN, (3, 3))
    change = rng.uniform(-VOLUMETRIC_STRAIN, VOLUMETRIC_STRAIN)
    strain = 0.5 * (strain + strain.T) + np.eye(3) * change
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    atoms.rattle(rng.uniform(*DISPLACEMENTS_ANGSTROM), rng=rng)
    return atoms


def pretrain(folder: Path) -> None:
    """Label shaken crystals and train a small DPA-2 on them."""
    if (folder / MODEL).exists():
        return
    workdir = folder / "pretraining"
    workdir.mkdir(parents=True, exist_ok=True)
    frames_file = workdir / "frames.extxyz"
    if not frames_file.exists():
        rng, calculator = np.random.default_rng(SEED), sevennet()
        crystals = [crystal for crystal in known_crystals().values() for _ in range(FRAMES_OF_A_CRYSTAL)]
        frames = label([shaken(crystal, rng) for crystal in crystals], calculator)
        write_frames(frames_file.with_suffix(".partial"), frames)
        frames_file.with_suffix(".partial").rename(frames_file)
    if not (workdir / "input.json").exists():
        folders = write_deepmd_sets(read_frames(frames_file), TYPE_MAP, workdir / "data")
        systems = [str(folder.path) for folder in folders]
        (workdir / "input.json").write_text(json.dumps(pretraining_input(systems), indent=1))
    command = ["dp", "--pt", "train", "input.json", "--skip-neighbor-stat"]
    if (checkpoint := newest_checkpoint(workdir)) is not None:
        command += ["--restart", checkpoint.name]
    subprocess.run(command, cwd=workdir, check=True, env={**os.environ, "NUM_WORKERS": "0"})
    checkpoint = newest_checkpoint(workdir)
    assert checkpoint is not None
    export(checkpoint, folder / MODEL)


def pretraining_input(systems: list[str]) -> dict[str, object]:
    """Return deepmd-kit's input."""
    fitting = {"neuron": [32, 32, 32], "resnet_dt": True, "precision": "float32", "seed": SEED}
    return {
        "model": {
            "type_map": TYPE_MAP, "descriptor": small_descriptor(), "fitting_net": fitting, "data_stat_nbatch": 1000
        },
        "learning_rate": {"type": "exp", "start_lr": 5e-3, "stop_lr": 1e-5, "decay_steps": PRETRAINING_STEPS // 100},
        "loss": {**LOSS, "huber_delta": [1.0, 0.5, 1.0]},
        "training": {
            "numb_steps": PRETRAINING_STEPS,
            "training_data": {"systems": systems, "batch_size": "auto:32"},
            "warmup_steps": 0, "gradient_max_norm": 5.0, "seed": SEED, "disp_file": "lcurve.out", "disp_freq": 200,
            "save_freq": 500, "max_ckpt_keep": 2,
        },
    }  # fmt: skip


def small_descriptor() -> dict[str, Any]:
    """Return a DPA-2 whose training step on 4 frames of 16 atoms takes half of what the silicon example's does.

    A curve needs hundreds of trainings: 4.5 and 3.5 Å instead of 5 and 4, 40 and 20 neighbours, single precision.
    """
    small = descriptor()
    small["repinit"] |= {"rcut": 4.5, "nsel": 40}
    small["repformer"] |= {"rcut": 3.5, "rcut_smth": 2.5, "nsel": 20, "g2_dim": 8, "attn2_hidden": 8}
    return small | {"precision": "float32", "seed": SEED}


def explore(name: str, pool: Pool, folder: Path) -> None:
    """Run and label the trajectories of a pool that have no file yet."""
    where = folder / name
    where.mkdir(parents=True, exist_ok=True)
    calculator, explorer = sevennet(), DeepmdModel(folder / MODEL).calculator()
    for trajectory, task in pool.tasks(True) + pool.tasks(False):
        path = where / f"{trajectory}.extxyz"
        if path.exists():
            continue
        rng = np.random.default_rng(task.seed)
        start = pool.start(task.system, rng)
        start.rattle(0.03, rng=rng)
        outcome = run_trajectory(start, explorer, task, trajectory, MIN_DISTANCE_FACTOR, threading.Event(), _ignore)
        write_frames(path.with_suffix(".partial"), label(outcome.frames, calculator))
        path.with_suffix(".partial").rename(path)
        print(f"{name} {trajectory}: {len(outcome.frames)} frames, {outcome.reason or 'whole'}", flush=True)


def _ignore(step: int) -> None:
    pass


def main(arguments: list[str] | None = None) -> int:
    """Make what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="of the pools")
    parser.add_argument("names", nargs="*", help=f"of pools: {', '.join(POOLS)}; none: the model alone")
    options = parser.parse_args(arguments)
    folder: Path = options.folder.resolve()
    pretrain(folder)
    for name in options.names:
        explore(name, POOLS[name], folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())

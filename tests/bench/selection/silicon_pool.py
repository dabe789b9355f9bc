"""A pool of silicon frames as exploration gives them, with SevenNet as the truth; rebuilt offline.

The exploring model is the example's DPA-2. Its MD gives correlated candidates, most of them from quiet conditions; test
frames come from trajectories of their own, the same number for each condition. Runs in an image that has deepmd-kit and
SevenNet; a trajectory that has its file is not run again.

    silicon_pool.py --model examples/pretrained/dpa2-group-iv.pt --output build/selection-pool
"""

from __future__ import annotations

import argparse
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from ase import Atoms
from ase.build import bulk, diamond100
from sevenn.calculator import SevenNetCalculator

from pfd_operator.contract.settings import Ensemble, MdTask
from pfd_worker.frames import labelled, write_frames
from pfd_worker.md.trajectory import run_trajectory
from pfd_worker.models.checkpoint import extract_branch
from pfd_worker.models.deepmd import DeepmdModel

BRANCH = "Group_IV_Elements"
LATTICE_ANGSTROM = 5.47
MIN_DISTANCE_FACTOR = 0.6
TEST_FRAMES = 24


@dataclass(frozen=True)
class Condition:
    """One stratum: where its trajectories start, how hot they are, and how many frames the pool has of it."""

    name: str
    temperature_kelvin: float
    frames: int
    trajectories: int


CONDITIONS = (
    Condition("diamond", 300.0, 720, 4),
    Condition("diamond", 600.0, 420, 4),
    Condition("diamond", 900.0, 220, 4),
    Condition("diamond", 1500.0, 80, 2),
    Condition("compressed", 900.0, 60, 2),
    Condition("sheared", 600.0, 50, 2),
    Condition("vacancy", 900.0, 50, 2),
    Condition("surface", 600.0, 40, 2),
)
"""The rarest four make up 2.4 to 3.7 % of the pool each. Written down before any method was run on it."""


def start_of(name: str, rng: np.random.Generator) -> Atoms:
    """Return the rattled start structure of a condition, 15 or 16 atoms."""
    atoms: Atoms = bulk("Si", "diamond", a=LATTICE_ANGSTROM, cubic=True).repeat((2, 1, 1))
    if name == "compressed":
        atoms.set_cell(0.94 * atoms.cell.array, scale_atoms=True)
    elif name == "sheared":
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + np.array([[0, 0.06, 0], [0.06, 0, 0], [0, 0, 0.05]])), True)
    elif name == "vacancy":
        del atoms[5]
    elif name == "surface":
        atoms = diamond100("Si", size=(2, 2, 4), a=LATTICE_ANGSTROM, vacuum=4.0)
        atoms.pbc = True
    atoms.rattle(0.03, rng=rng)
    return atoms


def tasks(test: bool) -> list[tuple[str, MdTask]]:
    """Return (name, task) of every trajectory of the pool, or of the test set."""
    result = []
    for number, condition in enumerate(CONDITIONS):
        count = 1 if test else condition.trajectories
        frames = TEST_FRAMES if test else condition.frames // count
        every = 15 if test else 5
        for replica in range(count):
            task = MdTask(
                system=condition.name,
                stage=0,
                ensemble=Ensemble.NVT,
                temperature_kelvin=condition.temperature_kelvin,
                pressure_bar=None,
                timestep_fs=2.0,
                steps=frames * every,
                sample_every=every,
                replica=replica,
                seed=5000 + 100 * number + replica + (50 if test else 0),
            )
            kind = "test" if test else "pool"
            result.append((f"{kind}-{condition.name}-{condition.temperature_kelvin:g}K-{replica}", task))
    return result


def truth(frames: list[Atoms], calculator: SevenNetCalculator) -> list[Atoms]:
    """Return the frames with SevenNet's energy and forces."""
    result = []
    for frame in frames:
        copy = frame.copy()
        copy.calc = calculator
        result.append(labelled(frame, copy.get_potential_energy(), copy.get_forces()))
    return result


def main(arguments: list[str] | None = None) -> int:
    """Run and label the trajectories that have no file yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="the exploring model (.pt)")
    parser.add_argument("--output", type=Path, required=True, help="folder of the pool")
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    # the TorchScript fuser compiles anew for each number of neighbours, which takes longer than the MD
    torch._C._jit_set_texpr_fuser_enabled(False)
    torch._C._jit_set_profiling_executor(False)
    single = options.output / "model.pt"
    extract_branch(options.model, BRANCH, single)
    explorer, calculator = DeepmdModel(single).calculator(), SevenNetCalculator("7net-0", device="cpu")
    for name, task in tasks(True) + tasks(False):
        path = options.output / f"{name}.extxyz"
        if path.exists():
            continue
        start = start_of(task.system, np.random.default_rng(task.seed))
        outcome = run_trajectory(start, explorer, task, name, MIN_DISTANCE_FACTOR, threading.Event(), lambda step: None)
        partial = path.with_suffix(".partial")
        write_frames(partial, truth(outcome.frames, calculator))
        partial.rename(path)
        print(f"{name}: {len(outcome.frames)} frames, {outcome.reason or 'whole'}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

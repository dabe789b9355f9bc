"""Measure the pre-trained model on the hold-out trajectories and write its card (card.json).

pretraining_card.py --frames build/pretraining --model examples/pretrained/dpa2-group-iv.pt --workdir build/dpa2
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.io import iread
from pretrain import BRANCHES, TYPE_MAP

from pfd_worker.evaluation.errors import (
    FrameError,
    energy_rmse_per_atom,
    force_rmse,
    frame_errors,
    virial_rmse_per_atom,
)
from pfd_worker.frames import read_frames
from pfd_worker.models.checkpoint import extract_branch
from pfd_worker.models.deepmd import DeepmdModel


def summary(errors: list[FrameError], frames: list[Atoms]) -> dict[str, float | int]:
    """Return the root-mean-square errors and the force scale they are to be compared with."""
    forces = np.concatenate([atoms.get_forces().ravel() for atoms in frames])
    energy = energy_rmse_per_atom(errors)
    assert energy is not None
    return {
        "frames": len(frames),
        "energy_rmse_ev_per_atom": round(energy, 4),
        "force_rmse_ev_per_angstrom": round(force_rmse(errors), 4),
        "force_scale_ev_per_angstrom": round(float(np.sqrt(np.mean(forces**2))), 4),
        "virial_rmse_ev_per_atom": round(virial_rmse_per_atom(errors) or 0.0, 4),
    }


def hold_out_errors(models: dict[str, DeepmdModel], frames: list[Atoms]) -> dict[str, dict[str, float | int]]:
    """Return the errors of each hold-out group (material and temperature), and of all frames."""
    predictions = [models[atoms.info["branch"]].predict([atoms])[0] for atoms in frames]
    errors = frame_errors(frames, predictions)
    groups: dict[str, list[int]] = defaultdict(list)
    for i, atoms in enumerate(frames):
        groups[f"{atoms.info['material']}/{atoms.info['temperature_kelvin']:g}K"].append(i)
        groups["all"].append(i)
    return {
        name: summary([errors[i] for i in rows], [frames[i] for i in rows]) for name, rows in sorted(groups.items())
    }


def seconds_per_evaluation(model: DeepmdModel, atoms: Atoms, repeats: int = 10) -> float:
    """Return the time of one evaluation with forces and virial on one thread, in s."""
    model.predict([atoms])
    begin = time.process_time()
    for _ in range(repeats):
        model.predict([atoms])
    return (time.process_time() - begin) / repeats


def main(arguments: list[str] | None = None) -> int:
    """Write the card."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=Path, required=True, help="folder of pretraining_frames.py")
    parser.add_argument("--model", type=Path, required=True, help="the model (.pt)")
    parser.add_argument("--workdir", type=Path, required=True, help="folder of pretrain.py")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    trajectories = sorted(options.frames.glob("*.extxyz"))
    hold_out = [path for path in trajectories if path.stem.endswith("hold-out")]
    training: dict[str, int] = defaultdict(int)
    for path in set(trajectories) - set(hold_out):
        for atoms in iread(path):
            training[atoms.info["material"]] += 1
    models = {}
    for branch in BRANCHES:
        extract_branch(options.model, branch, options.workdir / f"{branch}.pt")
        models[branch] = DeepmdModel(options.workdir / f"{branch}.pt")
    curve = (options.workdir / "lcurve.out").read_text().split("\n")
    settings = json.loads((options.workdir / "input.json").read_text())
    big = next(iread(sorted(options.frames.glob("Si-diamond-600K*hold-out.extxyz"))[0])).repeat((3, 2, 2))
    card: dict[str, Any] = {
        "family": "deepmd, DPA-2",
        "type_map": TYPE_MAP,
        "branches": list(BRANCHES),
        "sha256": hashlib.sha256(options.model.read_bytes()).hexdigest(),
        "bytes": options.model.stat().st_size,
        "labels": "SevenNet 7net-0 (sevenn 0.13.0), trained by its authors on MPtrj (PBE)",
        "training_frames": dict(sorted(training.items())),
        "training_steps": settings["training"]["numb_steps"],
        "last_logged_step": int([line for line in curve if line.strip()][-1].split()[0]),
        "hold_out_errors": hold_out_errors(models, [atoms for path in hold_out for atoms in read_frames(path)]),
        "milliseconds_per_evaluation": {
            f"{len(big)} atoms, one core": round(1000 * seconds_per_evaluation(models[next(iter(BRANCHES))], big))
        },
    }
    (options.model.parent / "card.json").write_text(json.dumps(card, indent=2) + "\n")
    print(json.dumps(card["hold_out_errors"], indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Fine-tune the pre-trained model on some labels with several training settings and compare the hold-out errors.

Uses the operator's own fine-tuning input, so that what is found here holds for a FineTuneJob. Prints one line each for
the model as it is, with its energies shifted, and for every setting.

    finetune_trial.py --model examples/pretrained/dpa2-group-iv.pt --branch Group_IV_Elements --training train.extxyz \
        --hold-out holdout.extxyz --workdir build/trial --trials 20:600:5e-4:1 40:600:1e-3:2
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase import Atoms

from pfd_operator.contract.model_source import family_of_file
from pfd_operator.contract.training import Training
from pfd_worker.evaluation.errors import (
    FrameError,
    energy_rmse_per_atom,
    force_rmse,
    frame_errors,
    virial_rmse_per_atom,
)
from pfd_worker.evaluation.shift import apply_energy_shift, fit_energy_shift
from pfd_worker.families import FAMILIES, Family
from pfd_worker.frames import read_frames
from pfd_worker.training.launch import CHILD
from pfd_worker.training.loss import LOSS
from pfd_worker.training.session import TrainingSession

SEED = 7


def report(name: str, errors: list[FrameError], seconds: float = 0.0) -> None:
    """Print one line of results."""
    virial = virial_rmse_per_atom(errors)
    print(
        f"{name:32s} force {force_rmse(errors):.4f} eV/Å  energy {1000 * energy_rmse_per_atom(errors):8.2f} meV/atom  "
        f"virial {1000 * (virial or 0):6.1f} meV/atom  {seconds:.0f} s",
        flush=True,
    )


def errors_of(family: Family, model: Path, frames: Sequence[Atoms]) -> list[FrameError]:
    """Return the errors of a single-task model."""
    return frame_errors(frames, family.open(model).predict(frames))


def fine_tune(
    family: Family,
    start: Path,
    frames: Sequence[Atoms],
    training: Training,
    folder: Path,
    seed: int = SEED,
    program: Sequence[str] = (),
) -> Path:
    """Train, from a model whose energy is shifted to the labels, and return the last checkpoint; see `run`."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    model, shifted = folder / f"start{family.kind.suffix}", folder / f"shifted{family.kind.suffix}"
    info = family.extract(start, None, model, "--model")
    family.shift_energy(model, fit_energy_shift(errors_of(family, model, frames)), shifted)
    session = family.fine_tune(folder, family.base_input(training, info.model_section), shifted, frames, seed)
    return run(session, folder, program)


def run(session: TrainingSession, folder: Path, program: Sequence[str] = ()) -> Path:
    """Train in a folder, with a log in it, and return the last checkpoint; `program` stands for the session's own."""
    own, *arguments = session.command(None)[len(CHILD) :]
    with (folder / "log").open("w") as log:
        # data-loader processes cost more than they bring for small frames
        environment = {**os.environ, "NUM_WORKERS": "0"}
        subprocess.run(
            [*(program or [own]), *arguments], cwd=folder, check=True, stdout=log, stderr=log, env=environment
        )
    return session.checkpoints()[-1]


def main(arguments: list[str] | None = None) -> int:
    """Run all trials."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="the pre-trained model (.pt, or SevenNet's .pth)")
    parser.add_argument("--branch", help="its branch")
    parser.add_argument("--training", type=Path, required=True, help="labelled frames (extended XYZ)")
    parser.add_argument("--hold-out", type=Path, required=True, help="labelled frames of other trajectories")
    parser.add_argument("--workdir", type=Path, required=True, help="folder of the trials")
    parser.add_argument("--trials", nargs="*", default=[], help="FRAMES:STEPS:LEARNING_RATE:BATCH_SIZE …")
    parser.add_argument(
        "--huber-delta",
        type=float,
        nargs=3,
        metavar=("ENERGY", "FORCE", "VIRIAL"),
        help="errors from where on the loss is linear, in eV/atom, eV/Å, eV/atom; default: as jobs have it",
    )
    options = parser.parse_args(arguments)
    loss = {"loss": {**LOSS, "huber_delta": options.huber_delta}} if options.huber_delta else {}
    options.workdir = options.workdir.resolve()
    options.workdir.mkdir(parents=True, exist_ok=True)
    family = FAMILIES[family_of_file(options.model.name)]
    start = options.workdir / f"branch{family.kind.suffix}"
    family.extract(options.model, options.branch, start, "--model")
    training, hold_out = read_frames(options.training), read_frames(options.hold_out)
    scale = np.sqrt(np.mean(np.concatenate([atoms.get_forces().ravel() for atoms in hold_out]) ** 2))
    print(f"{len(training)} labels, {len(hold_out)} hold-out frames, their RMS force {scale:.3f} eV/Å")
    errors = errors_of(family, start, hold_out)
    report("pre-trained", errors)
    report("energy shifted", apply_energy_shift(errors, fit_energy_shift(errors_of(family, start, training))))
    order = np.random.default_rng(SEED).permutation(len(training))
    for trial in options.trials:
        count, steps, rate, batch = trial.split(":")
        settings = Training(steps=int(steps), learning_rate_start=float(rate), batch_size=int(batch), template=loss)
        begin = time.perf_counter()
        chosen = [training[i] for i in order[: int(count)]]
        model = fine_tune(family, start, chosen, settings, options.workdir / trial.replace(":", "-"))
        report(trial, errors_of(family, model, hold_out), time.perf_counter() - begin)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""A job of a few iterations as a report sees it, with errors that fall as labels grow; no model is needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk

from pfd_worker.evaluation.errors import frame_errors
from pfd_worker.evaluation.report import error_report
from pfd_worker.frames import labelled
from pfd_worker.models.base import Prediction
from pfd_worker.report.comparison import compare
from pfd_worker.report.data import JobName, ReportData, learning_curve
from pfd_worker.report.feature_map import feature_map
from pfd_worker.report.history import History, IterationRecord
from pfd_worker.report.provenance import InputFile, Provenance

SYSTEMS = ("diamond", "beta-tin", "zincblende")


def holdout_frames(count: int, virial: bool = True, seed: int = 3) -> list[Atoms]:
    """Frames of three systems at three temperatures with labels drawn at random."""
    rng = np.random.default_rng(seed)
    frames = []
    for number in range(count):
        system, temperature = SYSTEMS[number % 3], (300, 600, 900)[number // 3 % 3]
        name, crystal, a = ("SiC", "zincblende", 4.36) if system == "zincblende" else ("Si", "diamond", 5.43)
        atoms = bulk(name, crystal, a=a, cubic=True)
        atoms.info = {"system": system, "stratum": f"{system}/{temperature}K/1bar"}
        forces = rng.normal(0, 0.03 * temperature**0.5, (8, 3))
        tensor = rng.normal(0, 2, (3, 3))
        energy = -43.0 - (15.0 if system == "zincblende" else 0.0) + rng.normal(0, 0.2)
        frames.append(labelled(atoms, energy, forces, tensor + tensor.T if virial else None))
    return frames


def predictions_for(frames: Sequence[Atoms], force_error: float, seed: int = 4) -> list[Prediction]:
    """Predictions that miss the labels by this much, in eV/Å, and by more where forces are large."""
    rng = np.random.default_rng(seed)
    result = []
    for atoms in frames:
        forces = atoms.get_forces()
        virial = atoms.info.get("virial", np.zeros((3, 3))) + rng.normal(0, 4 * force_error, (3, 3))
        result.append(
            Prediction(
                energy=float(atoms.get_potential_energy()) + rng.normal(0, 0.5 * force_error),
                forces=forces + rng.normal(0, force_error, forces.shape) * (0.6 + 0.6 * np.abs(forces)),
                virial=(virial + virial.T) / 2,
            )
        )
    return result


def errors_of(frames: Sequence[Atoms], force_error: float) -> dict[str, Any]:
    """The report of such predictions."""
    return error_report(frame_errors(frames, predictions_for(frames, force_error)), seed=1)


def force_error_after(iteration: int) -> float:
    """Falls about as labels^-0.5, in eV/Å."""
    return 0.6 * (20 * (iteration + 1)) ** -0.5 * (1.08 if iteration % 2 else 0.95)


def history_of(frames: Sequence[Atoms], iterations: int = 4, best: int | None = None) -> History:
    """Iterations of 20, 40, 60, … labels with errors that fall about as labels^-0.5."""
    baselines = dict.fromkeys(("pretrained", "shifted"), errors_of(frames, 0.3))
    history = History()
    for number in range(iterations):
        labels = 20 * (number + 1)
        errors = {"holdout": errors_of(frames, force_error_after(number))}
        bound = None
        if number:
            errors["prequential"] = errors_of(frames[:30], 0.8 * (labels - 20) ** -0.5)
        if number > 1:
            bound = {f"p{percent}": 0.02 * percent * (labels - 20) ** -0.5 for percent in (10, 50, 90, 100)}
        # the MD of iteration 2 is not known whole: a pod that explored failed
        md = {"candidates": 120, "novel": 60 // number} if number else {}
        md |= {"trajectories": 8, "exploded": 0} if number == 3 else {}
        record = IterationRecord(number, labels, len(frames), best, errors, bound, md)
        history = history.extended(record, baselines if number == 0 else {})
    return history


def sample_report(
    frames_count: int = 36, iterations: int = 4, best: int | None = -1, job: str = "silicon", virial: bool = True
) -> ReportData:
    """A whole report; the last iteration is the best unless another (or None) is named."""
    frames = holdout_frames(frames_count, virial)
    best = iterations - 1 if best == -1 else best
    history = history_of(frames, iterations, best)
    error = 0.3 if best is None else force_error_after(best)
    predictions = predictions_for(frames, error)
    rng = np.random.default_rng(5)
    features = rng.normal(size=(history.last.training_labels, 2)) @ rng.normal(size=(2, 48)) + rng.normal(
        0, 0.1, (history.last.training_labels, 48)
    )
    return ReportData(
        job=JobName("default", "FineTuneJob", job),
        history=history,
        best_iteration=best,
        best=error_report(frame_errors(frames, predictions), seed=1),
        comparison=compare(frames, predictions, seed=2),
        features=feature_map(features.astype(np.float32), 20, seed=2),
        learning_curve=learning_curve(history),
        provenance=Provenance(
            digest="ab" * 32,
            seed=7,
            settings={"stage": "train", "training": {"steps": 2000}},
            packages={"numpy": np.__version__},
            stages={"label": "cd" * 32, "prepare": "ef" * 32},
            inputs=tuple(InputFile("label", n, "labels.extxyz", f"{n:064x}") for n in range(3)),
        ),
    )

"""A job of a few iterations as a report sees it, with errors that fall as labels grow; no model is needed."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.md.velocitydistribution import thermalize_momenta

from pfd_operator.contract.outcome import ExplorationCounts
from pfd_operator.contract.result import LabelCounts
from pfd_operator.contract.stage import BudgetSoFar
from pfd_worker.evaluation.errors import frame_errors
from pfd_worker.evaluation.report import error_report
from pfd_worker.frames import labelled
from pfd_worker.md.drift import NveDrift
from pfd_worker.md.replay import AimdRun, replay
from pfd_worker.models.base import Prediction
from pfd_worker.report.comparison import compare
from pfd_worker.report.costs import Cost, LabelCost, Spending, StageTime
from pfd_worker.report.data import JobName, ReportData, learning_curve
from pfd_worker.report.dynamics import Dynamics
from pfd_worker.report.history import History, IterationRecord
from pfd_worker.report.provenance import InputFile, Provenance
from pfd_worker.selection.feature_map import FeatureMap, feature_map

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
    return error_report(frame_errors(frames, predictions_for(frames, force_error)))


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
        sizes = {"candidates": 120, "novel": 60 // number} if number else {}
        md = ExplorationCounts(**sizes, **({"trajectories": 8, "exploded": 0} if number == 3 else {}))
        cost = cost_of_sample(number, iterations)
        record = IterationRecord(number, labels, len(frames), best, errors, bound, md, cost)
        history = history.extended(record, baselines if number == 0 else {})
    return history


def cost_of_sample(iteration: int, iterations: int) -> Cost:
    """Minutes of pods, and 20 labels; the newest training is not over."""
    times = {"explore": StageTime(2, 371.5), "select": StageTime(1, 4.2), "label": StageTime(3, 1893.0)}
    if not iteration:
        times = {"prepare": StageTime(1, 12.1), **times}
    if iteration < iterations - 1:
        times["train"] = StageTime(1, 9000.0)
    return Cost(times, LabelCost(computed=20, reused=3 * iteration, failed=iteration % 2, computing_seconds=1700.0))


def sample_map(candidates: int, labelled: int, seed: int = 5) -> FeatureMap | None:
    """Labelled frames amid candidates, 20 of which are chosen."""
    rng = np.random.default_rng(seed)
    count = candidates + labelled
    features = rng.normal(size=(count, 2)) @ rng.normal(size=(2, 48)) + rng.normal(0, 0.1, (count, 48))
    features[:candidates] *= 1.5
    features = features.astype(np.float32)
    return feature_map(features[:candidates], features[candidates:], range(20), seed=2)


@cache
def sample_dynamics() -> Dynamics:
    """Copper and aluminium moved by EMT, whose AIMD had springs a little softer."""
    runs = [
        AimdRun(name, 2.0, 300.0, emt_trajectory(bulk(symbol, cubic=True), 5, seed))
        for seed, (name, symbol) in enumerate((("copper", "Cu"), ("copper", "Cu"), ("aluminium", "Al")))
    ]
    drift = NveDrift(1.0, 0.31, 0.12, 287.0, None, None)
    return Dynamics(tuple(replay(runs, EMT(), threading.Event())), drift, "copper", 300.0, 2.0)


def emt_trajectory(atoms: Atoms, steps: int, seed: int, wrong_by: float = 0.3) -> tuple[Atoms, ...]:
    """Frames of NVE MD whose forces are short of EMT's by a fraction; the first one has its velocities."""
    atoms = atoms.copy()
    rng = np.random.default_rng(seed)
    atoms.rattle(0.1, seed=seed)
    thermalize_momenta(atoms, 300, rng=rng)
    frames = [atoms.copy()]
    momenta, masses, timestep = atoms.get_momenta(), atoms.get_masses()[:, None], 2.0 * units.fs
    atoms.calc = EMT()
    for _ in range(steps - 1):
        momenta = momenta + 0.5 * timestep * (1 - wrong_by) * atoms.get_forces()
        atoms.positions = atoms.positions + timestep * momenta / masses
        momenta = momenta + 0.5 * timestep * (1 - wrong_by) * atoms.get_forces()
        frames.append(Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=True))
    return tuple(frames)


def sample_report(
    frames_count: int = 36, iterations: int = 4, best: int | None = -1, job: str = "silicon", virial: bool = True
) -> ReportData:
    """A whole report; the last iteration is the best unless another (or None) is named."""
    frames = holdout_frames(frames_count, virial)
    best = iterations - 1 if best == -1 else best
    history = history_of(frames, iterations, best)
    error = 0.3 if best is None else force_error_after(best)
    predictions = predictions_for(frames, error)
    return ReportData(
        job=JobName("default", "FineTuneJob", job),
        history=history,
        best_iteration=best,
        best=error_report(frame_errors(frames, predictions)),
        comparison=compare(frames, predictions, seed=2),
        dynamics=sample_dynamics(),
        features=sample_map(200, history.last.training_labels),
        learning_curve=learning_curve(history, given=0),
        spending=Spending(
            LabelCounts(paid=112, reused=7, failed=2, wasted=1),
            BudgetSoFar(max_labels=120, max_iterations=8, gpu_hours_used=1.25),
        ),
        provenance=Provenance(
            digest="ab" * 32,
            seed=7,
            settings={"stage": "train", "training": {"steps": 2000}},
            packages={"numpy": np.__version__},
            stages={"label": "cd" * 32, "prepare": "ef" * 32},
            inputs=tuple(InputFile("label", n, "labels.extxyz", f"{n:064x}") for n in range(3)),
        ),
    )

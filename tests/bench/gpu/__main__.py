"""What a GPU makes of the worker: MD of one trajectory and of many, training, and students in large cells.

Runs where the worker runs, in its GPU image or on any machine with its packages; on processors, too, where there is no
GPU. Prints each figure when it is there, and writes build/bench/gpu.json.

    make bench-gpu
    python -m bench.gpu --only md train --output gpu.json
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator
from finetune_trial import run

from pfd_operator.contract.exploration import Ensemble
from pfd_operator.contract.student import Preset
from pfd_operator.contract.tasks import MdTask
from pfd_operator.contract.training import Training
from pfd_worker.acceptance.speed import measure_speed
from pfd_worker.machine import machine
from pfd_worker.md.together import AbandonedError, run_together
from pfd_worker.md.trajectory import run_trajectory
from pfd_worker.models.checkpoint import inspect_checkpoint
from pfd_worker.models.deepmd import DeepmdModel
from pfd_worker.models.frozen import FrozenModel
from pfd_worker.training.deepmd_session import DeepmdSession
from pfd_worker.training.deepmd_settings import base_input
from pfd_worker.training.recipe import Purpose
from tests.bench.gpu import models

Note = Callable[..., None]
CELLS = ((2, 1, 1), (2, 2, 2), (3, 3, 3))
TOGETHER = (1, 4, 16, 64)
TRIAL_SECONDS = 4.0
TRAINING_STEPS = 120
LOGGED_EVERY = 20
SAMPLE_EVERY = 10


def md(folder: Path, note: Note) -> None:
    """Time steps of trajectories that step together, NPT at 300 K, beside those of one after another."""
    for name, make in (("dpa2-small", models.small_teacher), ("dpa3", models.large_teacher)):
        model = DeepmdModel(make(folder))
        for cell in CELLS:
            start = bulk("Si", cubic=True).repeat(cell)
            alone = None
            for together in TOGETHER:
                rate = _steps_per_second(model, start, together)
                alone = alone or rate
                note("md", model=name, atoms=len(start), together=together, steps_per_second=rate,
                     times_one_after_another=rate / alone)  # fmt: skip


def _steps_per_second(model: DeepmdModel, start: Atoms, together: int) -> float:
    """Run for some seconds; the first steps, which compile and search for neighbours, do not count."""
    steps = [0] * together
    begun: list[float] = []
    stopping = threading.Event()

    def on_step(number: int, step: int) -> None:
        steps[number] = step
        if not begun and min(steps) >= SAMPLE_EVERY:
            begun.extend((time.perf_counter(), sum(steps)))
        if begun and time.perf_counter() - begun[0] > TRIAL_SECONDS:
            stopping.set()

    def one(number: int, calculator: Calculator) -> Any:
        task = MdTask(system="si", stage=0, ensemble=Ensemble.NPT, temperature_kelvin=300.0, pressure_bar=1.0,
                      timestep_fs=1.0, steps=1_000_000, sample_every=SAMPLE_EVERY, replica=number,
                      seed=number)  # fmt: skip
        return run_trajectory(start, calculator, task, f"t{number}", 0.3, stopping, partial(on_step, number))

    with contextlib.suppress(AbandonedError):
        run_together(model, [partial(one, number) for number in range(together)], together, stopping)
    if not stopping.is_set():
        raise RuntimeError("the trajectories exploded")
    return (sum(steps) - begun[1]) / (time.perf_counter() - begun[0])


def train(folder: Path, note: Note) -> None:
    """Time training steps, between the first and the last lines of its curve."""
    frames = models.silicon(32, (2, 2, 2))
    for name, make in (("dpa2-small", models.small_teacher), ("dpa3", models.large_teacher)):
        start = make(folder)
        for batch in (1, 4, 16):
            place = folder / f"train-{name}-{batch}"
            place.mkdir()
            section = inspect_checkpoint(start).model_section
            training = Training(
                steps=TRAINING_STEPS, batch_size=batch, template={"training": {"disp_freq": LOGGED_EVERY}}
            )
            settings = base_input(training, section, Purpose.CONTINUATION)
            run(DeepmdSession(place, settings, Purpose.CONTINUATION, start, frames, 7), place)
            median_ms = _ms_per_step(place / "log")
            note("train", model=name, atoms=64, batch_frames=batch, ms_per_step=median_ms)


def _ms_per_step(log: Path) -> float:
    """Return the median over what the log says of every so many steps, the first of which compile."""
    found = re.findall(r"Batch\s+\d+: total wall time = ([\d.]+) s", log.read_text())
    return 1000 * median(map(float, found[2:])) / LOGGED_EVERY


def large(folder: Path, note: Note) -> None:
    """Time MD steps of compressed students in large cells, as the accept stage does."""
    for preset in (Preset.SMALL, Preset.LARGE):
        model = FrozenModel(models.student(folder, preset))
        sizes = [108, 4000, 32_000, 256_000, 1_000_000]
        for record in measure_speed({preset: model.calculator()}, bulk("Cu", cubic=True), sizes, limit_seconds=15.0):
            note("large", model=f"student {preset}", atoms=record.atoms, ms_per_step=record.median_ms_per_step,
                 fits=record.fits, note=record.note)  # fmt: skip


PARTS = {"md": md, "train": train, "large": large}


def main(arguments: list[str] | None = None) -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="parts")
    parser.add_argument("--output", type=Path, default=Path("build/bench/gpu.json"))
    options = parser.parse_args(arguments)
    found: dict[str, Any] = {"machine": machine(), "cores": len(os.sched_getaffinity(0)), "figures": []}
    options.output.parent.mkdir(parents=True, exist_ok=True)

    def note(part: str, **figure: Any) -> None:
        found["figures"].append({"part": part, **figure})
        rounded = {key: round(value, 2) if isinstance(value, float) else value for key, value in figure.items()}
        print(part, rounded, flush=True)
        options.output.write_text(json.dumps(found, indent=1))

    print(found["machine"], flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for part in options.only:
            PARTS[part](Path(folder), note)


if __name__ == "__main__":
    main()

"""A training step of a small student by the number of threads, and by how they wait for one another.

Each way trains alone and beside busy loops, as on a node with other work. Runs in the image worker-test-deps, see
`make bench-threads`; writes build/bench/threads.json.

    make bench-threads BENCH='--steps 300 --busy 0 4'
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pfd_operator.contract.student import Preset, Student, StudentTraining
from pfd_worker.training.deepmd_session import DeepmdSession
from pfd_worker.training.deepmd_settings import base_input
from pfd_worker.training.recipe import Purpose
from pfd_worker.training.student import student_model_section
from tests.bench.gpu.models import copper

OUTPUT = Path("build/bench/threads.json").resolve()
FRAMES = 40
WAYS = {
    "one thread": {"OMP_NUM_THREADS": "1"},
    "two, spinning": {"OMP_NUM_THREADS": "2"},
    "two, passive": {"OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "PASSIVE"},
}
"""The last is what stage pods get."""


def _spin() -> None:
    while True:
        pass


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """Keep processors busy meanwhile."""
    others = [multiprocessing.Process(target=_spin, daemon=True) for _ in range(processes)]
    for other in others:
        other.start()
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.join()


def milliseconds_per_step(folder: Path, steps: int, variables: dict[str, str]) -> float:
    """Train from the beginning; return the mean that deepmd-kit tells, of the steps after the first 100."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    section = student_model_section(Student(preset=Preset.SMALL), ["Cu"])
    settings = base_input(StudentTraining(steps=steps), section, Purpose.SCRATCH)
    settings["training"]["disp_freq"] = 100
    session = DeepmdSession(folder, settings, Purpose.SCRATCH, None, copper(FRAMES), 7)
    environment = {**os.environ, "NUM_WORKERS": "0", **variables}
    done = subprocess.run(
        session.command(None), cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    found = re.search(r"average training time: ([\d.]+) s/batch", done.stdout + done.stderr)
    if found is None:
        raise RuntimeError(f"dp train told no average time\n{done.stderr[-2000:]}")
    return 1000 * float(found[1])


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=300, help="at least 200 (default 300)")
    parser.add_argument("--busy", type=int, nargs="+", default=[0, 4], help="busy loops beside it (default 0 4)")
    given = parser.parse_args()
    found: dict[str, dict[str, float]] = {}
    for processes in given.busy:
        row = found[f"{processes} busy loops"] = {}
        for way, variables in WAYS.items():
            with busy(processes):
                row[way] = milliseconds_per_step(OUTPUT.parent / "threads", given.steps, variables)
            print(f"{processes} busy loops, {way}: {row[way]:.1f} ms/step", flush=True)
    ratios = {beside: row["two, passive"] / row["two, spinning"] for beside, row in found.items()}
    processors = len(os.sched_getaffinity(0))
    OUTPUT.write_text(
        json.dumps({"processors": processors, "ms_per_step": found, "passive_over_spinning": ratios}, indent=1)
    )


if __name__ == "__main__":
    main()

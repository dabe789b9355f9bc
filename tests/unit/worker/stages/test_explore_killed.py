"""Explore in a process that is killed: the next one does again what was done since the last checkpoint."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from ase.build import bulk

from pfd_operator.contract.result import ExitCode
from pfd_worker import stage_files
from tests.unit.worker.stages.counted_emt import STEP_SECONDS
from tests.unit.worker.stages.explored_copper import EVEN, GIVEN_CELL, MODEL
from tests.unit.worker.stages.loop import Loop, explore_params, ref

ROOT = Path(__file__).parents[4]
CHECKPOINT_SECONDS = 0.25
STEPS = 400
POD = f"""
import sys
from pfd_worker.__main__ import main
from pfd_worker.stages import explore
explore.CHECKPOINT_SECONDS = {CHECKPOINT_SECONDS}
sys.exit(main(sys.argv[1:]))
"""


def test_a_pod_that_is_killed_costs_the_steps_since_its_last_checkpoint(tmp_path):
    loop, counted = Loop(tmp_path), tmp_path / "steps"
    counted.touch()
    start = bulk("Cu", cubic=True)
    start.info = {"system": "copper", "start": 0, "frame": 0, "variation": 0, "slab": False}
    start.info["reference_cell"] = GIVEN_CELL
    calculator = {"calculator": "tests.unit.worker.stages.counted_emt:CountedEmt", "parameters": {"file": str(counted)}}
    files = {stage_files.STARTS: [start], stage_files.CALCULATOR: json.dumps(calculator)}
    prepare = loop.committed(EVEN, 0, files, {"elements": ["Cu"]})
    stage = {"temperaturesKelvin": [300, 500], "steps": STEPS // 2, "sampleEvery": 5}
    params = explore_params("training") | {"exploration": {"stages": [stage]}}
    spec = loop.spec(params, 1, dict.fromkeys(MODEL, prepare))
    (tmp_path / "stage.json").write_text(json.dumps(spec.to_json()))
    ends = [(signal.SIGKILL, 120), (signal.SIGTERM, 210), (signal.SIGKILL, 330), (None, 0)]
    codes = [pod(tmp_path, number, counted, *end) for number, end in enumerate(ends)]
    assert codes == [-signal.SIGKILL, ExitCode.PREEMPTED, -signal.SIGKILL, ExitCode.OK]
    records = loop.manifest(ref(spec), 0).summary["trajectories"]
    assert sum(record["steps_done"] for record in records) == STEPS
    again = counted.stat().st_size - STEPS
    print(f"{again} of {STEPS} steps were done again")
    # a step takes the calculator's time at least; saving takes its time, too, on a busy machine
    assert again <= 2 * (3 * CHECKPOINT_SECONDS / STEP_SECONDS) + len(ends) * 20


def pod(folder, number, counted, how, when):
    """Run a pod, and end it when so many steps were done by all of them; return its exit code."""
    paths = ":".join(str(path) for path in (ROOT / "operator", ROOT / "images/worker", ROOT))
    environment = os.environ | {
        "PYTHONPATH": paths, "JOB_COMPLETION_INDEX": "0", "PFD_TERMINATION_LOG": str(folder / "termination-log"),
    }  # fmt: skip
    command = [
        sys.executable,
        "-c",
        POD,
        "--spec",
        str(folder / "stage.json"),
        "--workdir",
        str(folder / f"pod-{number}"),
    ]
    with (
        (folder / f"log-{number}").open("wb") as log,
        subprocess.Popen(command, env=environment, stderr=log) as process,
    ):
        while how is not None and process.poll() is None and counted.stat().st_size < when:
            time.sleep(0.01)
        if how is not None:
            process.send_signal(how)
        return process.wait(120)

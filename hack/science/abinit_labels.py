"""Single points by the operator's own ABINIT labeler, from a shell: to measure settings before paying for labels."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

from ase import Atoms

from pfd_operator.contract.engine import AbinitEngine
from pfd_operator.contract.program import COMMAND_FILE, LOG_FILE
from pfd_worker.labelers.abinit import AbinitLabeler
from pfd_worker.labelers.task import Calculation

ROOT = Path(__file__).resolve().parents[2]


def run_abinit(atoms: Atoms, settings: AbinitEngine, workdir: Path) -> tuple[Atoms, float]:
    """Compute one label on one core, in the image that label pods run.

    Parameters
    ----------
    atoms
        The frame.
    settings
        Engine settings as a FineTuneJob has them.
    workdir
        Emptied, then used for ABINIT's files; in this repository's folder, which the image sees.

    Returns
    -------
    The labelled frame and the seconds ABINIT took, the container's start included.

    Raises
    ------
    RuntimeError
        If there is no usable label; with ABINIT's last lines.
    """
    shutil.rmtree(workdir, ignore_errors=True)
    workdir.mkdir(parents=True)
    labeler, task = AbinitLabeler(settings), Calculation(atoms)
    labeler.write_inputs(task, workdir)
    seen_inside = Path("/src") / workdir.resolve().relative_to(ROOT)
    command = [str(ROOT / "hack/images/run-in.sh"), "abinit", "sh", "-c", f"cd {seen_inside} && exec sh {COMMAND_FILE}"]
    begin = time.perf_counter()
    with (workdir / LOG_FILE).open("w") as log:
        code = subprocess.run(command, stdout=log, stderr=log, check=False).returncode
    seconds = time.perf_counter() - begin
    verdict = labeler.read_outputs(task, workdir, code)
    if not verdict.ok:
        raise RuntimeError(f"{workdir}: {verdict.reason}: {verdict.message}")
    return verdict.frames[0], seconds

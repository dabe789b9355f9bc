"""Single points by the operator's own ABINIT labeler, from a shell: to measure settings before paying for labels."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

from ase import Atoms

from pfd_operator.contract.settings import AbinitEngine
from pfd_worker.labelers.abinit import AbinitLabeler
from pfd_worker.labelers.base import LabelTask

INFO = {"purpose": "training", "stratum": "", "trajectory": "", "system": ""}


def run_abinit(atoms: Atoms, settings: AbinitEngine, directory: str, workdir: Path) -> tuple[Atoms, float]:
    """Compute one label on one core of this machine.

    Parameters
    ----------
    atoms
        The frame.
    settings
        Engine settings as a FineTuneJob has them.
    directory
        Folder of the pseudopotentials.
    workdir
        Emptied, then used for ABINIT's files.

    Returns
    -------
    The labelled frame and the seconds ABINIT took.

    Raises
    ------
    RuntimeError
        If there is no usable label; with ABINIT's last lines.
    """
    shutil.rmtree(workdir, ignore_errors=True)
    workdir.mkdir(parents=True)
    labeler, task = AbinitLabeler(settings), LabelTask(atoms, INFO)
    labeler.write_inputs(task, workdir)
    environment = {**os.environ, "ABI_PSPDIR": directory, "OMP_NUM_THREADS": "1"}
    environment |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    begin = time.perf_counter()
    with (workdir / "engine.out").open("w") as log:
        command = ["sh", "command.sh"]
        code = subprocess.run(command, cwd=workdir, stdout=log, stderr=log, env=environment, check=False).returncode
    seconds = time.perf_counter() - begin
    verdict = labeler.read_outputs(task, workdir, code)
    if not verdict.ok:
        raise RuntimeError(f"{workdir}: {verdict.reason}: {verdict.message}")
    return verdict.frames[0], seconds

"""One training program on several GPUs and nodes: a process for each GPU, and they find one another."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pfd_worker.team import Team

CHILD = (sys.executable, "-m", "pfd_worker.training.child")
"""Before the command line of a training program: it then saves when it is asked to."""
PORT = 29500
PATIENCE_SECONDS = 3600
"""How long a node waits for the first: that one may have to pull its image still, and measures before it trains."""


def launched(command: Sequence[str], gpus: int, team: Team) -> list[str]:
    """Return the command line that runs a program on all GPUs of a pod, together with the other pods of its team.

    Parameters
    ----------
    command
        The program as one process.
    gpus
        Of this pod; without any it is one process.
    team
        Its pods.
    """
    if team.nodes == 1 and gpus <= 1:
        return list(command)
    if gpus == 0:
        return _on_processors(command, team)
    if team.nodes == 1:
        meeting = ["--standalone"]
    else:
        meeting = [
            f"--nnodes={team.nodes}",
            f"--node-rank={team.rank}",
            f"--master-addr={team.first_node}",
            f"--master-port={PORT}",
            f"--rdzv-conf=timeout={PATIENCE_SECONDS}",
        ]
    return ["torchrun", *meeting, f"--nproc-per-node={gpus}", "--no-python", *command]


def _on_processors(command: Sequence[str], team: Team) -> list[str]:
    # what torchrun would set: that of Debian's torch asks for libuv, which Debian leaves out
    variables = [
        f"RANK={team.rank}",
        f"WORLD_SIZE={team.nodes}",
        "LOCAL_RANK=0",
        f"MASTER_ADDR={team.first_node}",
        f"MASTER_PORT={PORT}",
        "USE_LIBUV=0",
    ]
    return ["env", *variables, *command]

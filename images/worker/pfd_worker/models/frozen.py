"""Frozen models (.pth): TorchScript out of a checkpoint, compressed, and loaded. What LAMMPS and users run."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from pfd_operator.contract.result import Reason
from pfd_worker.errors import transient, user_error
from pfd_worker.models.deepmd import DeepmdModel

FROZEN_SUFFIX = ".pth"
"""deepmd-kit gives a frozen model this ending, whatever name it is told."""
_LAST_LINES = 12


class FrozenModel(DeepmdModel):
    """A frozen or compressed model, loaded once for prediction, descriptors and MD.

    Parameters
    ----------
    path
        The .pth file that `freeze` or `compress` wrote.
    """

    def __init__(self, path: Path) -> None:
        import torch

        # With Debian's torch 2.6 TorchScript's tensor-expression fuser compiles for minutes at the first call
        torch._C._jit_set_texpr_fuser_enabled(False)
        super().__init__(path)


def freeze(checkpoint: Path, output: Path) -> None:
    """Write a single-task checkpoint as a frozen model.

    Parameters
    ----------
    checkpoint
        Single-task .pt file.
    output
        The .pth file to write.

    Raises
    ------
    StageError
        InternalError, with the last lines of `dp freeze`.
    ValueError
        If `output` has another ending.
    """
    _run("freeze", ["-c", str(checkpoint), "-o", str(output)], checkpoint, output)


def compress(frozen: Path, output: Path) -> None:
    """Write a frozen model with its embedding nets tabulated.

    The tables end at the smallest distance between atoms in the training data, which training stores in the model if it
    was run with neighbour statistics (as students are).

    Parameters
    ----------
    frozen
        The .pth file of `freeze`.
    output
        The .pth file to write.

    Raises
    ------
    StageError
        StudentNotCompressible, with the last lines of `dp compress`, if deepmd-kit refuses the model.
    ValueError
        If `output` has another ending.
    """
    _run("compress", ["-i", str(frozen), "-o", str(output)], frozen, output)


def _run(command: str, arguments: list[str], source: Path, output: Path) -> None:
    if output.suffix != FROZEN_SUFFIX:
        raise ValueError(f"{output.name}: a frozen model must end in {FROZEN_SUFFIX}")
    child = subprocess.run(
        ["dp", "--pt", command, *arguments],
        cwd=output.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, "NUM_WORKERS": "0"},
        check=False,
    )
    if child.returncode == 0 and output.is_file():
        return
    text = "\n".join(child.stdout.splitlines()[-_LAST_LINES:])
    message = f"`dp {command}` of {source.name} ended with code {child.returncode}:\n{text}"
    if command == "compress" and child.returncode > 0:
        advice = "Set spec.student.compress to false to go on with the frozen model."
        raise user_error(Reason.STUDENT_NOT_COMPRESSIBLE, f"{message}\n{advice}")
    raise transient(Reason.INTERNAL_ERROR, message)

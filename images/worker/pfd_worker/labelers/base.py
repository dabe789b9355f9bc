"""What every labeler has in common: verdicts, and the two ways of computing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from ase import Atoms

from pfd_worker.labelers.task import Calculation
from pfd_worker.machine_faults import says_machine_fault
from pfd_worker.out_of_memory import says_out_of_memory


class LabelFailure(StrEnum):
    """Why a calculation gave no label, as it is stored."""

    SCF_NOT_CONVERGED = "ScfNotConverged"
    ENGINE_ERROR = "EngineError"
    ENGINE_KILLED = "EngineKilled"
    TIMED_OUT = "TimedOut"
    OUT_OF_MEMORY = "OutOfMemory"
    OUTPUT_UNREADABLE = "OutputUnreadable"
    NOT_A_NUMBER = "NotANumber"


LASTING_FAILURES = frozenset({LabelFailure.SCF_NOT_CONVERGED})
"""Failures that follow from structure, engine and settings: whoever computes the label meets them again.
Time, memory and nodes are no part of a label's key: what ran out of them may succeed elsewhere."""


@dataclass(frozen=True)
class Verdict:
    """What became of a calculation."""

    frames: tuple[Atoms, ...] = ()
    """Labelled: energy (eV), forces (eV/Å), info["virial"] (3, 3) in eV. Of AIMD that failed, the steps before."""
    reason: LabelFailure | None = None
    """None if it succeeded."""
    message: str = ""
    """The engine's last lines, for people."""

    @property
    def ok(self) -> bool:
        """Whether it came to its end."""
        return self.reason is None

    @property
    def by_machine(self) -> bool:
        """Whether the machine failed, and not the calculation, of which it is no verdict."""
        told = self.reason in (LabelFailure.ENGINE_ERROR, LabelFailure.OUTPUT_UNREADABLE)
        # a GPU's errors may say both, and too little memory is no fault
        return told and says_machine_fault(self.message) and not says_out_of_memory(self.message)


class ExternalLabeler(Protocol):
    """An engine with an image of its own: files in, files out, nothing of ours in between."""

    def write_inputs(self, calculation: Calculation, directory: Path) -> None:
        """Write everything the engine reads, and `command.sh`, a POSIX script run in the directory."""
        ...

    def read_outputs(self, calculation: Calculation, directory: Path, exit_code: int) -> Verdict:
        """Judge what the engine wrote."""
        ...


class InProcessLabeler(Protocol):
    """An engine that the worker image holds."""

    def compute(self, calculation: Calculation) -> Verdict:
        """Compute a label."""
        ...

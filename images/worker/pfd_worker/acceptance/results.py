"""What was measured of a student: what a verdict is made of, and what is stored of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from pfd_operator.contract.outcome import AcceptanceErrors
from pfd_operator.contract.result import Caution, CautionReason
from pfd_worker.acceptance.speed import cell_sizes, fewer_steps, speed_ups
from pfd_worker.acceptance.stability import StableRun
from pfd_worker.acceptance.timed_run import Role, SpeedRecord
from pfd_worker.md.drift import NveDrift


class Group(StrEnum):
    """What may not have been measured, or not of every system."""

    DFT = "dft"
    NVE_DRIFT = "nve_drift"
    RDF_OVERLAP = "rdf_overlap"


@dataclass(frozen=True)
class Results:
    """What was measured; None or empty is what could not be."""

    errors: AcceptanceErrors = field(default_factory=AcceptanceErrors)
    dft_files: Mapping[str, str] = field(default_factory=dict)
    """The user's own DFT frames, if the errors against DFT are on them: address → sha256."""
    dft_force_ratio_error: float | None = None
    """Standard error of the ratio of student's and teacher's force RMSE against DFT, over trajectories."""
    speed: Sequence[SpeedRecord] = ()
    """Of the models of each `Role`."""
    speed_system: str | None = None
    """The system it was measured on."""
    nve_drift: Mapping[str, NveDrift] = field(default_factory=dict)
    """System → its run at constant energy."""
    stability: Mapping[str, Sequence[StableRun]] = field(default_factory=dict)
    """System → its runs at the extreme conditions."""
    rdf_overlap: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """System → pair of elements (`Si-Si`) → overlap of g(r) with the teacher's."""
    rdf_overlap_of_teacher: Mapping[str, float] = field(default_factory=dict)
    """System → smallest overlap of the teacher's MD with itself: two runs of this length differ by so much."""
    missing: Mapping[Group, str] = field(default_factory=dict)
    """Why it is not there, with the systems that have none."""

    @property
    def speed_up(self) -> dict[int, float]:
        """Atoms asked for → speed-up over the teacher."""
        return speed_ups(self.speed, Role.STUDENT, over=Role.TEACHER)

    @property
    def cell_sizes(self) -> dict[int, int]:
        """Atoms asked for → atoms of the cell that was really run."""
        return cell_sizes(self.speed)

    def fewer_steps(self, asked_atoms: int) -> str:
        """Return in words of which models fewer steps were timed at a size than meant; empty if of none."""
        return fewer_steps(self.speed, asked_atoms)

    @property
    def shortest_runs(self) -> dict[str, StableRun]:
        """System → the run that ended first."""
        return {system: min(runs, key=lambda run: run.picoseconds) for system, runs in self.stability.items()}

    @property
    def drift(self) -> dict[str, float]:
        """System → drift of the total energy, in meV/atom/ps."""
        return {system: run.drift for system, run in self.nve_drift.items() if run.drift is not None}

    @property
    def largest_drift(self) -> float | None:
        """Of all systems, in meV/atom/ps; None if one was not measured or is no number."""
        drifts = [abs(drift) for drift in self.drift.values()]
        whole = drifts and len(drifts) == len(self.nve_drift) and all(map(math.isfinite, drifts))
        return round(max(drifts), 6) if whole else None

    @property
    def cautions(self) -> list[Caution]:
        """What a reader of the speed-ups should know."""
        few = {self.cell_sizes[asked]: self.fewer_steps(asked) for asked in self.speed_up}
        words = [f"at {atoms} atoms {each}" for atoms, each in few.items() if each]
        message = f"the speed-up is measured {'; '.join(words)}: a model has a minute at each size"
        return [Caution(reason=CautionReason.FEW_TIMED_STEPS, message=message)] if words else []

"""What is asked of a student, and what was measured of it: what a verdict is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pfd_operator.contract.result import ErrorMetrics


@dataclass(frozen=True)
class ErrorLimits:
    """Largest errors on a hold-out; None: not asked for."""

    force_rmse: float | None = None
    """In eV/Å."""
    energy_rmse_per_atom: float | None = None
    """In eV."""
    virial_rmse_per_atom: float | None = None
    """In eV."""


@dataclass(frozen=True)
class Limits:
    """What is asked of a student; what is None or empty is not asked for."""

    teacher: ErrorLimits = ErrorLimits()
    """Against the teacher, on its hold-out."""
    dft: ErrorLimits = ErrorLimits()
    """Against DFT."""
    dft_force_rmse_over_teacher: float | None = None
    """Largest ratio of the student's force error against DFT to the teacher's own."""
    speed_up: Mapping[int, float] = field(default_factory=dict)
    """Atoms asked for → smallest speed-up over the teacher."""
    stable_picoseconds: float | None = None
    """MD of every system at constant temperature and pressure without an explosion."""
    nve_drift: float | None = None
    """Largest drift of the total energy at constant energy, in meV/atom/ps, of either sign, in any system."""
    rdf_overlap: float | None = None
    """Smallest overlap of g(r) with the teacher's, over all systems and pairs of elements; 0 to 1."""


@dataclass(frozen=True)
class Figures:
    """What was measured; None or empty is what could not be."""

    teacher: ErrorMetrics | None = None
    """Student against teacher."""
    dft: ErrorMetrics | None = None
    """Student against DFT."""
    teacher_dft: ErrorMetrics | None = None
    """Teacher against the same DFT."""
    speed_up: Mapping[int, float] = field(default_factory=dict)
    """Atoms asked for → speed-up over the teacher."""
    speed_system: str | None = None
    """The system it was measured on."""
    stable_picoseconds: Mapping[str, float] = field(default_factory=dict)
    """System → MD without an explosion, in ps."""
    stability_notes: Mapping[str, str] = field(default_factory=dict)
    """System → why MD ended early."""
    nve_drift: Mapping[str, float] = field(default_factory=dict)
    """System → drift, in meV/atom/ps."""
    rdf_overlap: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """System → pair of elements (`Si-Si`) → overlap."""
    rdf_overlap_of_teacher: Mapping[str, float] = field(default_factory=dict)
    """System → smallest overlap of the teacher's first half with its second: no student can be asked to exceed it."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Group (`teacher`, `dft`, `speed_up`, `stable_picoseconds`, `nve_drift`, `rdf_overlap`) → why it is not there, or
    not of every system."""

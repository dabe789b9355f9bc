"""What was measured of a student: what a verdict is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pfd_operator.contract.outcome import ErrorMetrics


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
    cell_sizes: Mapping[int, int] = field(default_factory=dict)
    """Atoms asked for → atoms of the cell that was really run."""
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
    """System → smallest overlap of the teacher's MD with itself: two runs of this length differ by so much."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Group (`dft`, `nve_drift`, `rdf_overlap`) → why it is not there, or not of every system."""

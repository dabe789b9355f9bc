"""MD of one system: how long the student's lasts, whether it keeps its energy, how its structure compares."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from ase import Atoms

from pfd_operator.contract.digest import seed_of
from pfd_operator.contract.exploration import ExplorationStage
from pfd_worker.acceptance.results import Group
from pfd_worker.acceptance.stability import StableRun, measure_stability
from pfd_worker.acceptance.supercell import supercell_of_size
from pfd_worker.acceptance.timed_run import Role
from pfd_worker.md.conditions import extreme_conditions, hottest_conditions
from pfd_worker.md.drift import NveDrift, measure_nve_drift
from pfd_worker.md.radial_distribution import overlaps, radial_distribution, self_overlaps
from pfd_worker.models.base import AtomisticModel

MD_ATOMS = 108
RDF_PICOSECONDS = 2.0
"""Length of the two runs whose structure is compared: the teacher is the slow one."""


@dataclass
class SystemDynamics:
    """What MD of one system says of a student.

    Parameters
    ----------
    teacher, student
        The student as it is exported.
    start
        A start structure; a supercell of it is run.
    stages
        What is run of it. Their hottest conditions are those of drift and structure, their extreme ones those of the
        stability.
    picoseconds
        Length of stability and drift.
    seed
        Of velocities and thermostats.
    stopping
        When set, what runs ends early, and its record is of what was run.
    """

    teacher: AtomisticModel
    student: AtomisticModel
    start: Atoms
    stages: Collection[ExplorationStage]
    picoseconds: float
    seed: int
    stopping: threading.Event
    shortest: Mapping[int, float] = field(default_factory=dict)
    """Pair of elements → its shortest distance in the teacher's MD, in Å: see `selection.pair_distances`."""
    stability: list[StableRun] = field(default_factory=list)
    """A run at each of the extreme conditions."""
    drift: NveDrift | None = None
    overlap: dict[str, float] = field(default_factory=dict)
    """Pair of elements → overlap of g(r) with the teacher's."""
    overlap_of_teacher: float | None = None
    """Smallest overlap of two parts of the teacher's frames, over all pairs: what chance makes of a run this short."""
    missing: dict[Group, str] = field(default_factory=dict)
    """Why this system has no figure."""

    def measure_stability(self) -> None:
        """Run the student at the extreme conditions."""
        start = supercell_of_size(self.start, MD_ATOMS)
        # what keeps its cell has no pressure: then they may be the same
        for conditions in dict.fromkeys(each.of(start) for each in extreme_conditions(self.stages)):
            record = measure_stability(
                start,
                self.student.calculator(),
                conditions,
                self.picoseconds,
                seed_of(self.seed, "stability"),
                self.stopping,
                shortest=self.shortest,
            )
            self.stability.append(record)

    def measure_drift(self) -> None:
        """Run the student at constant energy, where it is lost the fastest: hot."""
        conditions = hottest_conditions(self.stages)
        self.drift = measure_nve_drift(
            supercell_of_size(self.start, MD_ATOMS),
            self.student.calculator(),
            conditions.temperature_kelvin,
            self.picoseconds,
            conditions.timestep_fs,
            seed_of(self.seed, "drift"),
            self.stopping,
        )
        if self.drift.drift is None and self.drift.reason is not None:
            self.missing[Group.NVE_DRIFT] = self.drift.reason

    def measure_structure(self) -> None:
        """Run teacher and student under the same conditions, where a lattice breaks first: hot. Compare their g(r)."""
        conditions = hottest_conditions(self.stages)
        start = supercell_of_size(self.start, MD_ATOMS)
        frames: dict[Role, list[Atoms]] = {Role.TEACHER: [], Role.STUDENT: []}
        for name, model in ((Role.TEACHER, self.teacher), (Role.STUDENT, self.student)):
            record = measure_stability(
                start,
                model.calculator(),
                conditions,
                RDF_PICOSECONDS,
                # equal noise would draw two trajectories of a solid together, however wrong the student
                seed_of(self.seed, "structure", name),
                self.stopping,
                on_frame=frames[name].append,
            )
            if record.reason is not None:
                self.missing[Group.RDF_OVERLAP] = f"MD of the {name} is not sound: {record.reason}"
                return
        # the first half of each run still remembers the start they share
        later = {name: each[len(each) // 2 :] for name, each in frames.items()}
        try:
            compared = overlaps(*map(radial_distribution, later.values()))
        except ValueError as error:
            self.missing[Group.RDF_OVERLAP] = str(error)
            return
        self.overlap = {"-".join(pair): value for pair, value in compared.items()}
        # where only the student brings any pair within reach there is none
        with contextlib.suppress(ValueError):
            self.overlap_of_teacher = min(self_overlaps(later[Role.TEACHER]).values())

"""All measurements of one student, in one run of one machine."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ase import Atoms
from ase.calculators.calculator import Calculator

from pfd_operator.contract.digest import seed_of
from pfd_operator.contract.distill import Acceptance
from pfd_operator.contract.exploration import Exploration
from pfd_operator.contract.outcome import AcceptanceErrors, ErrorMetrics
from pfd_worker.acceptance.dynamics import SystemDynamics
from pfd_worker.acceptance.figures import Figures
from pfd_worker.acceptance.json_form import as_json
from pfd_worker.acceptance.speed import cell_sizes, measure_speed, speed_ups
from pfd_worker.acceptance.stability import StableRun
from pfd_worker.acceptance.timed_run import Role, SpeedRecord
from pfd_worker.errors import preempted
from pfd_worker.evaluation.errors import frame_errors, summarise
from pfd_worker.md.drift import NveDrift
from pfd_worker.models.base import AtomisticModel
from pfd_worker.selection.pair_distances import shortest_distances

DYNAMICS_BEGIN, DYNAMICS_END = 40.0, 90.0
"""Percent of the stage's progress."""


@dataclass
class Examination:
    """What is measured of a student, and with what.

    Parameters
    ----------
    teacher, student
        The student as it is exported.
    structures
        System → a structure; supercells of it are run. Speed is measured on `speed_system`.
    acceptance
        What is asked.
    exploration
        Its first conditions are those of the structure, its extreme ones those of the stability.
    progress
        Told percent and words.
    """

    teacher: AtomisticModel
    student: AtomisticModel
    structures: Mapping[str, Atoms]
    acceptance: Acceptance
    exploration: Exploration
    seed: int
    stopping: threading.Event
    progress: Callable[[float, str], None]
    errors: AcceptanceErrors = field(default_factory=AcceptanceErrors)
    speed: list[SpeedRecord] = field(default_factory=list)
    dynamics: dict[str, SystemDynamics] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    @property
    def speed_system(self) -> str:
        """The system that speed is measured on, and that is exported as a sample: a crystal, if there is one.

        A molecule cannot be repeated to any size, and LAMMPS has no box for it.
        """
        return next(
            (system for system, structure in self.structures.items() if structure.pbc.all()),
            next(iter(self.structures)),
        )

    @property
    def drifts(self) -> dict[str, NveDrift]:
        """System → its run at constant energy."""
        return {system: each.drift for system, each in self.dynamics.items() if each.drift is not None}

    @property
    def stabilities(self) -> dict[str, list[StableRun]]:
        """System → its runs at the extreme conditions."""
        return {system: each.stability for system, each in self.dynamics.items() if each.stability}

    @property
    def overlaps(self) -> dict[str, dict[str, float]]:
        """System → pair of elements → overlap of g(r) with the teacher's."""
        return {system: each.overlap for system, each in self.dynamics.items() if each.overlap}

    def run(self, holdout: Sequence[Atoms], dft: Sequence[Atoms]) -> Figures:
        """Measure everything and return what the verdict is made of.

        Parameters
        ----------
        holdout
            Labelled by the teacher.
        dft
            Labelled by the reference; none if there is no such hold-out.

        Raises
        ------
        StageError
            Preempted, if it was told to stop before all was measured.
        """
        self._measure_errors(holdout, dft)
        self._tell(5, f"speed of teacher and student in {self.speed_system}")
        self._measure_speed()
        shortest = shortest_distances(holdout)
        for number, system in enumerate(self.structures):
            self._measure_dynamics(number, system, shortest)
        # a run that was told to stop ends early: its figures are no verdict
        self._tell(DYNAMICS_END, "verdict")
        return self._figures()

    def to_json(self) -> dict[str, Any]:
        """Return all that was measured: units are in the names, or those of the dataclasses' documentation."""
        return {
            "errors": self.errors.to_json(),
            "speed": as_json(self.speed),
            "speedSystem": self.speed_system,
            "nveDrift": as_json(self.drifts),
            "stability": as_json(self.stabilities),
            "rdfOverlap": self.overlaps,
            "rdfOverlapOfTeacher": self._overlaps_of_teacher(),
            "missing": self._missing(),
        }

    def _measure_errors(self, holdout: Sequence[Atoms], dft: Sequence[Atoms]) -> None:
        seed = seed_of(self.seed, "bootstrap")

        def errors_of(model: AtomisticModel, frames: Sequence[Atoms]) -> ErrorMetrics:
            return summarise(frame_errors(frames, model.predict(frames)), seed)

        self.errors = AcceptanceErrors(
            holdout=errors_of(self.student, holdout),
            dft=errors_of(self.student, dft) if dft else None,
            teacher_dft=errors_of(self.teacher, dft) if dft else None,
        )

    def _measure_speed(self) -> None:
        models: dict[str, Calculator] = {
            Role.TEACHER: self.teacher.calculator(),
            Role.STUDENT: self.student.calculator(),
        }
        self.speed = measure_speed(
            models,
            self.structures[self.speed_system],
            self.acceptance.sizes,
            seed=seed_of(self.seed, "speed"),
            stopping=self.stopping,
            on_size=lambda atoms: self._tell(5, f"speed at {atoms} atoms"),
        )

    def _measure_dynamics(self, number: int, system: str, shortest: Mapping[int, float]) -> None:
        structure, picoseconds = self.structures[system], self.acceptance.stable_md_picoseconds
        each = SystemDynamics(
            self.teacher,
            self.student,
            structure,
            self.exploration,
            picoseconds,
            seed_of(self.seed, "dynamics", system),
            self.stopping,
            shortest,
        )
        self.dynamics[system] = each
        share = (DYNAMICS_END - DYNAMICS_BEGIN) / len(self.structures)
        begin = DYNAMICS_BEGIN + share * number
        self._tell(begin, f"{system}: {picoseconds:g} ps of MD at each of the extreme conditions")
        each.measure_stability()
        self._tell(begin + 0.5 * share, f"{system}: MD at constant energy")
        each.measure_drift()
        # what is not periodic has no density that g(r) could be counted against
        if self.acceptance.rdf_overlap is not None and structure.pbc.all():
            self._tell(begin + 0.75 * share, f"{system}: structure in MD of teacher and student")
            each.measure_structure()

    def _overlaps_of_teacher(self) -> dict[str, float]:
        found = {system: each.overlap_of_teacher for system, each in self.dynamics.items()}
        return {system: overlap for system, overlap in found.items() if overlap is not None}

    def _missing(self) -> dict[str, str]:
        """Return why figures are not there, with the systems that have none."""
        found = dict(self.missing)
        for group in ("nve_drift", "rdf_overlap"):
            why = [
                f"{system}: {each.missing[group]}" for system, each in self.dynamics.items() if group in each.missing
            ]
            if why:
                found[group] = "; ".join(why)
        if self.acceptance.rdf_overlap is not None and not any(
            structure.pbc.all() for structure in self.structures.values()
        ):
            found["rdf_overlap"] = "no system is periodic in all directions"
        return found

    def _figures(self) -> Figures:
        stable = {system: min(runs, key=lambda run: run.picoseconds) for system, runs in self.stabilities.items()}
        return Figures(
            teacher=self.errors.holdout,
            dft=self.errors.dft,
            teacher_dft=self.errors.teacher_dft,
            speed_up=speed_ups(self.speed, Role.STUDENT, Role.TEACHER),
            cell_sizes=cell_sizes(self.speed),
            speed_system=self.speed_system,
            stable_picoseconds={system: run.picoseconds for system, run in stable.items()},
            stability_notes={system: f"at {run.words}: {run.reason}" for system, run in stable.items() if run.reason},
            nve_drift={system: run.drift for system, run in self.drifts.items() if run.drift is not None},
            rdf_overlap=self.overlaps,
            rdf_overlap_of_teacher=self._overlaps_of_teacher(),
            missing=self._missing(),
        )

    def _tell(self, percent: float, words: str) -> None:
        if self.stopping.is_set():
            raise preempted("stopped while the student was judged; all of it is measured anew.")
        self.progress(percent, words)

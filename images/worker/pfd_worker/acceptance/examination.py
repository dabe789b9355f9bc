"""All measurements of one student, in one run of one machine."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ase import Atoms
from ase.calculators.calculator import Calculator

from pfd_operator.contract.digest import seed_of
from pfd_operator.contract.distill import Acceptance
from pfd_operator.contract.exploration import ExplorationStage
from pfd_operator.contract.outcome import AcceptanceErrors
from pfd_worker.acceptance.dft import NO_DFT, DftFrames
from pfd_worker.acceptance.dynamics import SystemDynamics
from pfd_worker.acceptance.results import Group, Results
from pfd_worker.acceptance.speed import measure_speed
from pfd_worker.acceptance.timed_run import Role, SpeedRecord
from pfd_worker.errors import preempted
from pfd_worker.evaluation.errors import frame_errors, squares_of_trajectories, summarise
from pfd_worker.evaluation.ratio import ErrorRatio, error_ratio
from pfd_worker.evaluation.shift import without_shift
from pfd_worker.evaluation.sources import predictions_of_given
from pfd_worker.models.base import AtomisticModel
from pfd_worker.selection.pair_distances import shortest_distances

DYNAMICS_BEGIN, DYNAMICS_END = 40.0, 90.0
"""Percent of the stage's progress."""


@dataclass(frozen=True)
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
    stages
        System → what is run of it, by place in the spec: see `SystemDynamics`.
    progress
        Told percent and words.
    """

    teacher: AtomisticModel
    student: AtomisticModel
    structures: Mapping[str, Atoms]
    acceptance: Acceptance
    stages: Mapping[str, Mapping[int, ExplorationStage]]
    seed: int
    stopping: threading.Event
    progress: Callable[[float, str], None]

    @property
    def speed_system(self) -> str:
        """The system that speed is measured on, and that is exported as a sample: a crystal, if there is one.

        A molecule cannot be repeated to any size, and LAMMPS has no box for it.
        """
        return next(
            (system for system, structure in self.structures.items() if structure.pbc.all()),
            next(iter(self.structures)),
        )

    def run(self, holdout: Sequence[Atoms], dft: DftFrames = NO_DFT) -> Results:
        """Measure everything and return what the verdict is made of.

        Parameters
        ----------
        holdout
            Labelled by the teacher.
        dft
            Labelled by DFT.

        Raises
        ------
        StageError
            Preempted, if it was told to stop before all was measured.
        """
        errors, ratio = self._errors(holdout, dft)
        self._tell(5, f"speed of teacher and student in {self.speed_system}")
        speed = self._speed()
        shortest = shortest_distances(holdout)
        dynamics = {system: self._dynamics(number, system, shortest) for number, system in enumerate(self.structures)}
        # a run that was told to stop ends early: its figures are no verdict
        self._tell(DYNAMICS_END, "verdict")
        teachers = {system: each.overlap_of_teacher for system, each in dynamics.items()}
        return Results(
            errors=errors,
            dft_files=dft.files,
            dft_force_ratio_error=None if ratio is None else ratio.error_of_rmse_ratio,
            speed=speed,
            speed_system=self.speed_system,
            nve_drift={system: each.drift for system, each in dynamics.items() if each.drift is not None},
            stability={system: each.stability for system, each in dynamics.items() if each.stability},
            rdf_overlap={system: each.overlap for system, each in dynamics.items() if each.overlap},
            rdf_overlap_of_teacher={system: overlap for system, overlap in teachers.items() if overlap is not None},
            missing=({} if dft.why_none is None else {Group.DFT: dft.why_none}) | self._missing(dynamics),
        )

    def _errors(self, holdout: Sequence[Atoms], dft: DftFrames) -> tuple[AcceptanceErrors, ErrorRatio | None]:
        """Return the errors, and how student and teacher compare against DFT, if there are such frames."""
        against_teacher = summarise(frame_errors(holdout, self.student.predict(holdout)))
        if not dft.frames:
            return AcceptanceErrors(holdout=against_teacher), None
        models = self.student, self.teacher
        student, teacher = (frame_errors(dft.frames, predictions_of_given(model, dft.frames)) for model in models)
        if dft.files:
            # by the teacher's shift both: what the student is off from its teacher is its own error
            student, teacher = without_shift(student, teacher), without_shift(teacher, teacher)
        errors = AcceptanceErrors(holdout=against_teacher, dft=summarise(student), teacher_dft=summarise(teacher))
        return errors, error_ratio(squares_of_trajectories(student), squares_of_trajectories(teacher), ["force"])

    def _speed(self) -> list[SpeedRecord]:
        models: dict[str, Calculator] = {
            Role.TEACHER: self.teacher.calculator(),
            Role.STUDENT: self.student.calculator(),
        }
        return measure_speed(
            models,
            self.structures[self.speed_system],
            self.acceptance.sizes,
            seed=seed_of(self.seed, "speed"),
            stopping=self.stopping,
            on_size=lambda atoms: self._tell(5, f"speed at {atoms} atoms"),
        )

    def _dynamics(self, number: int, system: str, shortest: Mapping[int, float]) -> SystemDynamics:
        structure, picoseconds = self.structures[system], self.acceptance.stable_md_picoseconds
        each = SystemDynamics(
            self.teacher,
            self.student,
            structure,
            self.stages[system].values(),
            picoseconds,
            seed_of(self.seed, "dynamics", system),
            self.stopping,
            shortest,
        )
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
        return each

    def _missing(self, dynamics: Mapping[str, SystemDynamics]) -> dict[Group, str]:
        """Return why figures are not there, with the systems that have none."""
        found: dict[Group, str] = {}
        for group in (Group.NVE_DRIFT, Group.RDF_OVERLAP):
            why = [f"{system}: {each.missing[group]}" for system, each in dynamics.items() if group in each.missing]
            if why:
                found[group] = "; ".join(why)
        if self.acceptance.rdf_overlap is not None and not any(
            structure.pbc.all() for structure in self.structures.values()
        ):
            found[Group.RDF_OVERLAP] = "no system is periodic in all directions"
        return found

    def _tell(self, percent: float, words: str) -> None:
        if self.stopping.is_set():
            raise preempted("stopped while the student was judged; all of it is measured anew.")
        self.progress(percent, words)

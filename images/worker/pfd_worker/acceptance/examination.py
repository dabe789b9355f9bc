"""All measurements of one student, in one run of one machine."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ase import Atoms

from pfd_operator.contract.digest import seed_of
from pfd_operator.contract.distill import Acceptance
from pfd_operator.contract.result import ErrorMetrics
from pfd_operator.contract.settings import Ensemble, Exploration, ExplorationStage
from pfd_worker.acceptance.drift import NveDrift, measure_nve_drift
from pfd_worker.acceptance.speed import measure_speed, speed_ups
from pfd_worker.acceptance.stability import StableRun, measure_stability
from pfd_worker.acceptance.structure import overlaps, radial_distribution
from pfd_worker.acceptance.supercell import supercell_of_size
from pfd_worker.acceptance.timed_run import SpeedRecord
from pfd_worker.acceptance.verdict import ErrorLimits, Figures, Limits
from pfd_worker.errors import preempted
from pfd_worker.evaluation.errors import frame_errors, summarise
from pfd_worker.models.base import AtomisticModel

TEACHER, STUDENT = "teacher", "student"
MD_ATOMS = 108
RDF_PICOSECONDS = 2.0
"""Length of the two runs whose structure is compared: the teacher is the slow one."""


@dataclass
class Examination:
    """What is measured of a student, and with what.

    Parameters
    ----------
    teacher, student
        The student as it is exported.
    start
        A start structure; supercells of it are run.
    acceptance
        What is asked.
    exploration
        Its first condition is that of the structure, its hottest that of the stability.
    progress
        Told percent and words.
    """

    teacher: AtomisticModel
    student: AtomisticModel
    start: Atoms
    acceptance: Acceptance
    exploration: Exploration
    seed: int
    stopping: threading.Event
    progress: Callable[[float, str], None]
    metrics: dict[str, ErrorMetrics] = field(default_factory=dict)
    speed: list[SpeedRecord] = field(default_factory=list)
    drift: NveDrift | None = None
    stability: StableRun | None = None
    overlap: dict[str, float] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

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
        self._tell(5, "speed of teacher and student")
        self._measure_speed()
        self._tell(40, f"{self.acceptance.stable_md_picoseconds:g} ps of MD at the hottest condition")
        self._measure_stability()
        self._tell(70, "MD at constant energy")
        self._measure_drift()
        if self.acceptance.rdf_overlap is not None:
            self._tell(80, "structure in MD of teacher and student")
            self._measure_structure()
        # a run that was told to stop ends early: its figures are no verdict
        self._tell(90, "verdict")
        return self._figures()

    def to_json(self) -> dict[str, Any]:
        """Return all that was measured: units are in the names, or those of the dataclasses' documentation."""
        return {
            "errors": {name: metrics.to_json() for name, metrics in self.metrics.items()},
            "speed": [vars(record) for record in self.speed],
            "nveDrift": None if self.drift is None else vars(self.drift),
            "stability": None if self.stability is None else vars(self.stability),
            "rdfOverlap": self.overlap,
            "missing": self.missing,
        }

    def _measure_errors(self, holdout: Sequence[Atoms], dft: Sequence[Atoms]) -> None:
        seed = seed_of(self.seed, "bootstrap")
        self.metrics["holdout"] = summarise(frame_errors(holdout, self.student.predict(holdout)), seed)
        if dft:
            self.metrics["dft"] = summarise(frame_errors(dft, self.student.predict(dft)), seed)
            self.metrics["teacherDft"] = summarise(frame_errors(dft, self.teacher.predict(dft)), seed)

    def _measure_speed(self) -> None:
        models = {TEACHER: self.teacher.calculator(), STUDENT: self.student.calculator()}
        self.speed = measure_speed(
            models,
            self.start,
            self.acceptance.sizes,
            seed=seed_of(self.seed, "speed"),
            stopping=self.stopping,
            on_size=lambda atoms: self._tell(5, f"speed at {atoms} atoms"),
        )

    def _measure_stability(self) -> None:
        stage, temperature, pressure = _hottest(self.exploration)
        self.stability, _ = measure_stability(
            supercell_of_size(self.start, MD_ATOMS),
            self.student.calculator(),
            temperature,
            pressure,
            self.acceptance.stable_md_picoseconds,
            stage.timestep_fs,
            seed_of(self.seed, "stability"),
            self.stopping,
        )

    def _measure_drift(self) -> None:
        stage = self.exploration.stages[0]
        self.drift = measure_nve_drift(
            supercell_of_size(self.start, MD_ATOMS),
            self.student.calculator(),
            stage.temperatures_kelvin[0],
            self.acceptance.stable_md_picoseconds,
            stage.timestep_fs,
            seed_of(self.seed, "drift"),
            self.stopping,
        )
        if self.drift.drift is None and self.drift.reason is not None:
            self.missing["nve_drift"] = self.drift.reason

    def _measure_structure(self) -> None:
        stage = self.exploration.stages[0]
        start = supercell_of_size(self.start, MD_ATOMS)
        frames = {}
        for name, model in ((TEACHER, self.teacher), (STUDENT, self.student)):
            record, frames[name] = measure_stability(
                start,
                model.calculator(),
                stage.temperatures_kelvin[0],
                stage.pressures_bar[0],
                RDF_PICOSECONDS,
                stage.timestep_fs,
                seed_of(self.seed, "structure"),
                self.stopping,
            )
            if record.reason is not None:
                self.missing["rdf_overlap"] = f"MD of the {name} exploded: {record.reason}"
                return
        try:
            # the first half of each run still remembers the start they share
            compared = overlaps(*(radial_distribution(each[len(each) // 2 :]) for each in frames.values()))
        except ValueError as error:
            self.missing["rdf_overlap"] = str(error)
            return
        self.overlap = {"-".join(pair): value for pair, value in compared.items()}

    def _figures(self) -> Figures:
        stable = self.stability
        note = (
            None if stable is None or stable.reason is None else f"at {stable.temperature_kelvin:g} K: {stable.reason}"
        )
        return Figures(
            teacher=self.metrics["holdout"],
            dft=self.metrics.get("dft"),
            teacher_dft=self.metrics.get("teacherDft"),
            speed_up=speed_ups(self.speed, STUDENT, TEACHER),
            stable_picoseconds=None if stable is None else stable.picoseconds,
            stability_note=note,
            nve_drift=None if self.drift is None else self.drift.drift,
            rdf_overlap=self.overlap,
            missing=self.missing,
        )

    def _tell(self, percent: float, words: str) -> None:
        if self.stopping.is_set():
            raise preempted("stopped while the student was judged; all of it is measured anew.")
        self.progress(percent, words)


def limits_of(acceptance: Acceptance) -> Limits:
    """Return what is asked in the terms of the verdict."""
    return Limits(
        teacher=ErrorLimits(acceptance.force_rmse, acceptance.energy_rmse_per_atom, acceptance.virial_rmse_per_atom),
        dft_force_rmse_over_teacher=acceptance.dft_force_ratio,
        speed_up={acceptance.sizes[0]: acceptance.speedup} if acceptance.speedup is not None else {},
        stable_picoseconds=acceptance.stable_md_picoseconds,
        nve_drift=acceptance.nve_drift_mev_per_atom_ps,
        rdf_overlap=acceptance.rdf_overlap,
    )


def _hottest(exploration: Exploration) -> tuple[ExplorationStage, float, float]:
    """Return the stage with the highest temperature, this, and the pressure it is run at (1 bar but for NPT)."""
    stage = max(exploration.stages, key=lambda each: max(each.temperatures_kelvin))
    pressure = stage.pressures_bar[0] if stage.ensemble is Ensemble.NPT else 1.0
    return stage, max(stage.temperatures_kelvin), pressure

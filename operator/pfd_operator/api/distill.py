"""DistillJob: a teacher becomes a light student that is fast, right, and runs in LAMMPS."""

from __future__ import annotations

from pydantic import Field, model_validator

from pfd_operator.contract.base import LongObjectName, Strict, invalid_at
from pfd_operator.contract.distill import Acceptance, RoundTraining
from pfd_operator.contract.engine import AseEngine
from pfd_operator.contract.exploration import MOST_STEPS, Exploration
from pfd_operator.contract.labeling import LabelPods
from pfd_operator.contract.model_source import ModelSource
from pfd_operator.contract.selection import HoldOut, Selection
from pfd_operator.contract.student import Preset, Student
from pfd_operator.contract.systems import System

from . import job
from .job import Budget, JobSpec
from .pods import PodOverrides, Pods


class FineTuneJobRef(Strict):
    """A FineTuneJob of the same namespace."""

    name: LongObjectName = Field(description="Its name; waited for if it does not exist yet.")
    require_converged: bool = Field(False, description="Keep waiting if it ends unconverged. Default false.")


class Teacher(ModelSource):
    """Who labels and, in the first round, explores."""

    fine_tune_job: FineTuneJobRef | None = Field(
        None, description="The best model of a FineTuneJob, once that has ended; with its systems and its DFT hold-out."
    )
    calculator: AseEngine | None = Field(
        None, description="Any ASE calculator of the worker image, e.g. sevenn.calculator:SevenNetCalculator."
    )
    image: str | None = Field(
        None,
        max_length=512,
        description="Worker image that has the teacher's program. Default: the chart's.",
    )

    @classmethod
    def union_members(cls) -> tuple[str, ...]:
        """Whatever can label."""
        return (*super().union_members(), "fine_tune_job", "calculator")


_TOO_LONG = (
    f"exploration.studentStepsFactor makes a trajectory of the student longer than {MOST_STEPS} steps: ask for less"
)


class DistillExploration(Exploration):
    """MD that finds new configurations: by the teacher for hold-out and first round, by the student from then on."""

    student_steps_factor: int | None = Field(
        None,
        ge=1,
        le=MOST_STEPS,
        description="The student's MD has so many times the steps, as it is so much faster, and frames as many "
        "(sampleEvery, too, times this). Default 1.",
    )

    @model_validator(mode="after")
    def _ends(self) -> DistillExploration:
        if (self.student_steps_factor or 1) * max(stage.steps for stage in self.stages) > MOST_STEPS:
            raise invalid_at(("studentStepsFactor",), _TOO_LONG, self.student_steps_factor)
        return self

    @property
    def of_student(self) -> Exploration:
        """What the student runs."""
        return self.lengthened(self.student_steps_factor or 1)


class TeacherLabeling(LabelPods):
    """How the teacher labels: in batches."""

    frames_per_pod: int = Field(2000, ge=1, le=100_000, description="Frames labelled by one pod. Default 2000.")
    parallelism: int = Field(1, ge=1, le=1000, description="Label pods at a time. Default 1.")


class DistillBudget(Budget):
    """What the job may cost; may be raised while it runs."""

    max_iterations: int = Field(4, ge=1, le=1000, description="Rounds. Default 4.")
    max_labels: int = Field(
        20000, ge=1, le=10_000_000, description="Frames the teacher labels in all, hold-out included. Default 20000."
    )


class DistillSelection(Selection):
    """How candidate frames become the frames the teacher labels."""

    frames_per_iteration: int = Field(400, ge=1, le=100_000, description="Frames labelled in each round. Default 400.")
    close_contact_fraction: float = Field(
        0.02,
        ge=0,
        le=0.5,
        description="Share in which two atoms are pushed together, to learn what repels them. Default 0.02.",
    )


class DistillHoldOut(HoldOut):
    """The frozen hold-out: teacher-labelled frames of trajectories of their own, never trained on."""

    frames: int = Field(
        64, ge=4, le=20000, description="Number of frames, spread evenly over systems and conditions. Default 64."
    )


class DistillPods(Pods):
    """Overrides by stage."""

    accept: PodOverrides = Field(PodOverrides(), description="Pods of accept.")


class DistillJobSpec(JobSpec):
    """What a DistillJob is asked to do."""

    teacher: Teacher = Field(description="Who teaches: exactly one of fineTuneJob, uri, pretrained, calculator.")
    systems: list[System] = Field(
        [], max_length=64, description="The materials. Default: those of teacher.fineTuneJob, with its starts."
    )
    student: Student = Field(Student(preset=Preset.SMALL), description="The light model. Default: preset small.")
    holdout: DistillHoldOut = Field(DistillHoldOut(), description="The frozen hold-out, labelled by the teacher.")
    exploration: DistillExploration = Field(description="MD that finds new configurations.")
    selection: DistillSelection = Field(DistillSelection(), description="Which configurations are labelled.")
    labeling: TeacherLabeling = Field(TeacherLabeling(), description="How the teacher labels.")
    training: RoundTraining = Field(RoundTraining(), description="Training of the student.")
    acceptance: Acceptance = Field(
        description="When the student is accepted; the RMSEs are against the teacher on the hold-out."
    )
    budget: DistillBudget = Field(DistillBudget(), description="What it may cost.")
    pods: DistillPods = Field(DistillPods(), description="Resources and scheduling by stage.")


RULES = (
    *job.RULES,
    {
        "rule": "has(self.teacher.fineTuneJob) || self.systems.size() > 0",
        "message": "systems is needed unless the teacher is a FineTuneJob, whose systems are taken then",
    },
    {
        "rule": "self.holdout.frames + self.selection.framesPerIteration <= self.budget.maxLabels",
        "message": "budget.maxLabels is less than holdout.frames + selection.framesPerIteration, "
        "which the first round needs",
    },
    {
        "rule": "!has(self.exploration.studentStepsFactor) || self.exploration.stages.all(s, "
        f"s.steps * self.exploration.studentStepsFactor <= {MOST_STEPS})",
        "message": _TOO_LONG,
    },
    {
        "rule": "!has(self.acceptance.dftForceRatio) || has(self.acceptance.dftData) || has(self.teacher.fineTuneJob)",
        "message": "acceptance.dftForceRatio needs DFT frames: give acceptance.dftData, or a teacher.fineTuneJob, "
        "which has a hold-out",
    },
)
"""What the API server checks across fields."""

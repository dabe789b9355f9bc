"""Status: what the operator knows of a job, small enough for etcd. Measured values are strings, exact as written."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from pfd_operator.contract.base import Strict
from pfd_operator.contract.outcome import AcceptanceCheck
from pfd_operator.contract.stage import StageKind, StageRef

from .conditions import Phase

KEPT_RECORDS = 20
"""Stages, and iterations at most, that the status remembers."""
TASKS = "tasks"
"""In `JobStatus.counts`: calculations of the newest selection."""
HOLDOUT_STRATA = "holdout_strata"
"""In `JobStatus.counts`: of how many strata the hold-out has frames, also where their names took too much room."""


class Condition(Strict):
    """A Kubernetes condition."""

    type: str
    status: str
    reason: str
    message: str = ""
    last_transition_time: datetime
    observed_generation: int | None = None


class ActiveState(StrEnum):
    """Where the running stage stands."""

    INTENDED = "Intended"
    """Written down; its Job may or may not exist yet."""
    CREATED = "Created"
    """Its Job was seen; if it vanishes without an outcome, the attempt was lost."""
    BACKOFF = "Backoff"
    """An attempt ended; the next starts at `not_before`."""


class ActiveStage(Strict):
    """The stage that runs now: the write-ahead record of its Job."""

    iteration: int
    stage: StageKind
    attempt: int = 1
    """Number in the Job's name; every new Job of the stage has a new one."""
    counted_failures: int = 0
    """Attempts that count against the limit: not preempted, evicted or lost ones."""
    job_name: str
    digest: str
    completions: int | None = None
    state: ActiveState = ActiveState.INTENDED
    intended_at: datetime
    started_at: datetime | None = None
    not_before: datetime | None = None
    percent: int | None = None
    message: str = ""
    succeeded_indexes: int = 0
    """With results in the store, earlier attempts included."""
    failed_indexes: int = 0
    gone_pods_seconds: int = 0
    """Of containers of this attempt whose pods were deleted."""


class Errors(Strict):
    """Errors of a model, as decimal strings."""

    force_rmse: str = Field(alias="forceRMSE", description="eV/Å")
    force_rmse_interval: str = Field("", alias="forceRMSEInterval", description="95 % interval, eV/Å")
    energy_rmse_per_atom: str | None = Field(None, alias="energyRMSEPerAtom", description="eV")
    virial_rmse_per_atom: str | None = Field(None, alias="virialRMSEPerAtom", description="eV")
    frames: int
    worst_stratum: str | None = None


class JudgedErrors(Errors):
    """Errors of a model, as decimal strings, with all that limits are compared with."""

    energy_high: str | None = Field(None, description="Upper end of the energy's 95 % interval, eV")
    virial_high: str | None = Field(None, description="Upper end of the virial's 95 % interval, eV")
    strata: dict[str, str] = Field({}, description="Largest force, energy, virial RMSE of a stratum, eV/Å, eV, eV")


class StageRecord(Strict):
    """A finished stage."""

    iteration: int
    stage: StageKind
    digest: str = Field(description="Where its manifest is: stages/<digest>/.")
    asked: str | None = Field(None, description="Planned as, if another.")
    completions: int | None = None
    attempts: int
    seconds: int = Field(description="Wall time from intent to outcome.")
    reused: bool = False


class IterationRecord(Strict):
    """One iteration: what it cost and how good the model became."""

    iteration: int
    labels: int = Field(description="Labels paid in all when it first ended.")
    training_frames: int | None = Field(None, description="Labelled frames it trained on, paid for or not.")
    prequential: JudgedErrors | None = Field(None, description="The exploring model on labels it had never seen.")
    holdout: JudgedErrors | None = Field(None, description="The new model on the frozen hold-out.")
    novel: str | None = Field(None, description="Candidate frames of the MD new to the training set, e.g. 7/120.")
    exploded: str | None = Field(None, description="Trajectories of the MD that exploded, e.g. 1/8.")
    met: bool = Field(False, description="All convergence limits held.")
    message: str = ""


class LabelsNeeded(Strict):
    """What the learning curve says about the way to the limit: an extrapolation, with its 95 % interval."""

    training_frames: int | None = Field(None, description="Frames to train on. Absent if more do not help, by the fit.")
    low: int | None = None
    high: int | None = Field(None, description="Absent if the fit leaves it open.")
    message: str


class Labels(Strict):
    """Labels of this job; the store's ledger is the truth."""

    paid: int = 0
    reused: int = 0
    failed: int = 0
    wasted: int = 0
    budget: int = 0
    shown: str = Field("", description="Paid of budget, e.g. 28/60, for `kubectl get`.")

    @model_serializer(mode="wrap")
    def _with_shown(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # a printer column shows one field; two numbers in one must be a field of their own
        return {**handler(self), "shown": f"{self.paid}/{self.budget}"}


class ModelRecord(Strict):
    """The best model so far, by the frozen hold-out."""

    uri: str
    iteration: int
    fine_tuned: bool = Field(
        True, description="False: this is the pre-trained one with shifted energy bias, which none beat."
    )
    errors: Errors | None = None


class JobStatus(Strict):
    """Everything the operator remembers of a job; the planner needs nothing else."""

    phase: Phase = Phase.PENDING
    observed_generation: int = 0
    spec_digest: str | None = None
    spec_generation: int = 0
    """The last generation whose spec had this digest: it needs no comparison, which another operator, with other
    defaults, could not make."""
    restart_id: str = Field("", description="The last spec.restart.id that was dealt with.")
    first_attempt: int = Field(1, description="First attempt since the last restart.")
    conditions: list[Condition] = []
    cautions: dict[str, str] = Field({}, description="What condition Caution says, by reason.")
    started_at: datetime | None = None
    finished_at: datetime | None = None
    suspended_at: datetime | None = None
    suspended_seconds: int = 0
    gpu_seconds: int = 0
    iteration: int = 0
    stage: str = ""
    progress: str = ""
    """For the printer column, e.g. "3/12" or "45 %"."""
    active: ActiveStage | None = None
    inputs: dict[str, StageRef] = Field({}, description="The last finished stage of each kind.")
    counts: dict[str, int] = Field({}, description="Sizes that stages and verdicts are planned by, e.g. tasks.")
    stages: list[StageRecord] = Field([], description="The last finished stages.")
    iterations: list[IterationRecord] = Field([], description="The last iterations.")
    consecutive: int = 0
    """Iterations in a row that met all limits."""
    labels: Labels = Labels()
    again: dict[int, int] = {}
    """Labels paid in all when iterations that are done again since a restart first began."""
    estimate: LabelsNeeded | None = Field(None, description="Labels needed for the force RMSE asked for.")
    model: ModelRecord | None = None


class FineTuneJobStatus(JobStatus):
    """Status of a FineTuneJob."""

    holdout_strata: list[str] = Field([], description="What the hold-out has frames of.")
    baselines: dict[str, Errors] = Field({}, description="pretrained and shifted on the hold-out.")
    label_noise: Errors | None = Field(
        None,
        description="The labels against those of spec.labeling.noiseCheck, energies without a constant shift; absent "
        "where frames are too few to tell.",
    )


class TeacherRecord(Strict):
    """The teacher as it was when the job started; it may be deleted since."""

    name: str = Field(description="The FineTuneJob.")
    model_uri: str
    starts_uri: str = Field(description="Manifest of its prepare stage: start structures.")
    holdout_uri: str | None = Field(None, description="Manifest of its last train stage, which has the DFT hold-out.")
    systems: list[str]
    reference: str | None = None


class DistillJobStatus(JobStatus):
    """Status of a DistillJob."""

    teacher: TeacherRecord | None = None
    speedup: str = Field("", description="Over the teacher, and for how many atoms.")
    """With the atoms of the cell that was run for that size, e.g. "6.531× at 96 atoms"."""
    acceptance: list[AcceptanceCheck] = Field([], description="What the student was measured by.")
    dft: dict[str, Errors] = Field({}, description="teacher and student on the teacher's DFT hold-out.")

"""Status: what the operator knows of a job, small enough for etcd. Measured values are strings, exact as written."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from pfd_operator.contract.base import Message, Strict
from pfd_operator.contract.outcome import AcceptanceCheck
from pfd_operator.contract.stage import StageKind, StageRef

from .conditions import Phase

KEPT_RECORDS = 20
"""Stages, besides those of iteration 0, and iterations at most, that the status remembers."""
LABELS_LEFT = "labels_left"
"""In `JobStatus.counts`: labels that were left when the newest selection was asked for."""
LABELS_LACKING = "labels_lacking"
"""In `JobStatus.counts`, where no definition of an earlier version prunes it: labels that the last attempt would have
paid for, if they were more than were left."""
TASKS = "tasks"
"""In `JobStatus.counts`: calculations of the newest selection."""
TRAINING_STRUCTURES = "training_structures"
"""In `JobStatus.counts`: structures of all systems at which MD for training may begin."""


class Condition(Strict):
    """A Kubernetes condition."""

    type: str = Field(description="Ready, Progressing, Stuck, Caution or SpecChanged.")
    status: str = Field(description="True or False.")
    reason: str = Field(description="One word, for programs.")
    message: str = Field("", description="The same for people.")
    last_transition_time: datetime = Field(description="When status last changed.")
    observed_generation: int | None = Field(None, description="Generation of the spec that it is about.")


class ActiveState(StrEnum):
    """Where the running stage stands."""

    INTENDED = "Intended"
    """Written down; its Job may or may not exist yet."""
    CREATED = "Created"
    """Its Job was seen; if it vanishes without an outcome, the attempt was lost."""
    BACKOFF = "Backoff"
    """An attempt ended; the next starts at `not_before`."""


class Told(Message):
    """What pods of an indexed stage have said when they ended well; they may be gone since."""

    digest: str = Field("", description="Where their results are: stages/<digest>/.")
    indexes: str = Field("", description="Theirs, e.g. 0,2-5.")


class ActiveStage(Strict):
    """The stage that runs now: the write-ahead record of its Job."""

    iteration: int = Field(description="The iteration that it is of.")
    stage: StageKind = Field(description="Which stage.")
    attempt: int = Field(1, description="Number in the Job's name; every new Job of the stage has a new one.")
    counted_failures: int = Field(
        0,
        description="Failed attempts since one came further than any before: not preempted, evicted or lost ones, nor "
        "those that found no object store.",
    )
    furthest: int = Field(0, description="How far the furthest of them came: percent, or pods with results.")
    job_name: str = Field(description="Name of its Job.")
    digest: str = Field(description="Where its results go: stages/<digest>/.")
    drawn_from: str = Field("", description="Digest of what its Job was drawn from, as far as that may change.")
    completions: int | None = Field(None, description="Pods of an indexed stage.")
    state: ActiveState = ActiveState.INTENDED
    intended_at: datetime = Field(description="When the stage was first written down.")
    started_at: datetime | None = Field(None, description="When a pod of this attempt first ran.")
    not_before: datetime | None = Field(None, description="When the next attempt may start.")
    percent: int | None = Field(None, description="How far the stage says it is, in %.")
    message: str = Field("", description="What the stage says of it.")
    succeeded_indexes: int = Field(0, description="Pods with results in the store, earlier attempts' included.")
    failed_indexes: int = Field(0, description="Pods that failed finally.")
    told: Told = Field(Told(), description="What this attempt's pods said of their results so far.")
    gone_pods_seconds: int = Field(0, description="Run time of this attempt's pods that were deleted, in s.")


class Errors(Strict):
    """Errors of a model, as decimal strings."""

    force_rmse: str = Field(alias="forceRMSE", description="In eV/Å.")
    force_rmse_interval: str = Field("", alias="forceRMSEInterval", description="95 % interval, in eV/Å.")
    energy_rmse_per_atom: str | None = Field(None, alias="energyRMSEPerAtom", description="In eV.")
    virial_rmse_per_atom: str | None = Field(None, alias="virialRMSEPerAtom", description="In eV.")
    frames: int = Field(description="Frames it was measured on.")
    worst_stratum: str | None = Field(None, description="With the largest force error.")


class JudgedErrors(Errors):
    """Errors of a model, as decimal strings, with all that limits are compared with."""

    trajectories: int | None = Field(None, description="That the frames are of.")
    energy_high: str | None = Field(None, description="Upper end of the energy's 95 % interval, in eV.")
    virial_high: str | None = Field(None, description="Upper end of the virial's 95 % interval, in eV.")
    strata: dict[str, str] = Field({}, description="Largest force, energy, virial RMSE of a stratum, in eV/Å, eV, eV.")


class StageRecord(Strict):
    """A finished stage."""

    iteration: int = Field(description="The iteration that it is of.")
    stage: StageKind = Field(description="Which stage.")
    digest: str = Field(description="Where its manifest is: stages/<digest>/.")
    asked: str | None = Field(None, description="Digest it was planned with, if another.")
    completions: int | None = Field(None, description="Pods of an indexed stage.")
    attempts: int = Field(description="Attempts since the last restart, however they ended.")
    seconds: int = Field(description="Wall time from intent to outcome, in s.")
    reused: bool = Field(False, description="Its results were in the store already.")


class Labelling(Message):
    """The label stage of an iteration, under way or ended."""

    digest: str = Field(description="Digest it was planned with, shortened.")
    labels_by: str | None = Field(None, description="Digest of what makes its labels, whatever time and memory it has.")
    left: int | None = Field(None, description="Labels that were left when its frames were selected.")


class IterationRecord(Strict):
    """One iteration: what it cost and how good the model became."""

    iteration: int = Field(description="Which one, counted from 0.")
    labels: int = Field(description="Labels paid in all when it first ended.")
    training_frames: int | None = Field(None, description="Labelled frames it trained on, paid for or not.")
    prequential: JudgedErrors | None = Field(None, description="The exploring model on labels it had never seen.")
    holdout: JudgedErrors | None = Field(None, description="The new model on the frozen hold-out.")
    novel: str | None = Field(None, description="Candidate frames of the MD new to the training set, e.g. 7/120.")
    exploded: str | None = Field(None, description="Trajectories of the MD that exploded, e.g. 1/8.")
    met: bool = Field(False, description="All convergence limits held.")
    message: str = Field("", description="The verdict in words.")


class LabelsNeeded(Strict):
    """What the learning curve says about the way to the limit: an extrapolation, with its 95 % interval."""

    training_frames: int | None = Field(
        None, description="Frames to train on, given ones left out. Absent if the fit does not tell."
    )
    low: int | None = Field(None, description="Lower end of the interval.")
    high: int | None = Field(None, description="Upper end; absent if the fit leaves it open.")
    message: str = Field(description="The same in words.")


class Labels(Strict):
    """Labels of this job; the store's ledger is the truth."""

    paid: int = Field(0, description="Computed for this job, failed ones included.")
    reused: int = Field(0, description="Found in the store, paid for by another job.")
    failed: int = Field(0, description="Of the paid ones, those without a usable result.")
    wasted: int = Field(0, description="Cut off and started again, or computed twice; not in paid.")
    budget: int = Field(0, description="spec.budget.maxLabels.")
    shown: str = Field("", description="Paid of budget, e.g. 28/60, for `kubectl get`.")

    @model_serializer(mode="wrap")
    def _with_shown(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # a printer column shows one field; two numbers in one must be a field of their own
        return {**handler(self), "shown": f"{self.paid}/{self.budget}"}


class ModelRecord(Strict):
    """The best model so far, by the frozen hold-out."""

    uri: str = Field(description="Its file in the object store.")
    iteration: int = Field(description="The iteration that trained it.")
    fine_tuned: bool = Field(
        True, description="False: this is the pre-trained one with shifted energy bias, which none beat."
    )
    errors: Errors | None = Field(None, description="On the frozen hold-out.")


class JobStatus(Strict):
    """Everything the operator remembers of a job; the planner needs nothing else."""

    phase: Phase = Phase.PENDING
    observed_generation: int = Field(0, description="Generation of the spec that the operator last acted on.")
    spec_digest: str | None = Field(None, description="Of the frozen part of the spec; set when the job starts.")
    # it needs no comparison, which another operator, with other defaults, could not make
    spec_generation: int = Field(0, description="Last generation whose spec had this digest.")
    restart_id: str = Field("", description="The last spec.restart.id that was dealt with.")
    first_attempt: int = Field(1, description="First attempt since the last restart.")
    conditions: list[Condition] = Field([], description="What holds now, each with its reason.")
    cautions: dict[str, str] = Field({}, description="What condition Caution says, by reason.")
    started_at: datetime | None = Field(None, description="When it first started.")
    finished_at: datetime | None = Field(None, description="When it ended; absent while it has not.")
    suspended_at: datetime | None = Field(
        None, description="Since when it is suspended, or the stage's Job waits in a queue."
    )
    suspended_seconds: int = Field(
        0, description="Suspended, queued or ended before, which the deadline does not count, in s."
    )
    gpu_seconds: int = Field(0, description="GPU time of attempts that ended, in s.")
    iteration: int = Field(0, description="The iteration, or round, that runs or was the last; counted from 0.")
    stage: str = Field("", description="The stage that runs.")
    progress: str = Field("", description="How far it is, e.g. 3/12 or 45 %.")
    active: ActiveStage | None = None
    without_pressure: list[str] = Field([], description="Systems whose MD keeps its cell: slabs and molecules.")
    inputs: dict[str, StageRef] = Field({}, description="The last finished stage of each kind.")
    counts: dict[str, int] = Field({}, description="Sizes that stages and verdicts are planned by, e.g. tasks.")
    stages: list[StageRecord] = Field([], description="The last finished stages.")
    iterations: list[IterationRecord] = Field([], description="The last iterations.")
    consecutive: int = Field(0, description="Iterations in a row that met all limits.")
    labels: Labels = Labels()
    paid_when_first_begun: dict[int, int] = Field(
        {}, alias="again", description="Labels paid in all when iterations that a restart does again first began."
    )
    memory_steps: dict[str, int] = Field(
        {}, description="How often the memory limit of a stage was doubled (spec.memorySteps), by stage."
    )
    labelled: dict[int, Labelling] = Field({}, description="Label stages, by iteration.")
    training_errors: Errors | None = Field(
        None, description="Of the newest model, on a sample of the frames that it was trained on."
    )
    estimate: LabelsNeeded | None = Field(
        None, description="Labels needed for the limit that the hold-out misses by most."
    )
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
    model_uri: str = Field(description="Its best model.")
    starts_uri: str = Field(description="Manifest of its prepare stage: start structures.")
    holdout_uri: str | None = Field(None, description="Manifest of its last train stage, which has the DFT hold-out.")
    systems: list[str] = Field(description="Names of its systems.")
    reference: str | None = Field(None, description="What labelled for it, in words.")
    phase: Phase | None = Field(None, description="How it had ended.")
    iteration: int | None = Field(None, description="Of its best model.")


class DistillJobStatus(JobStatus):
    """Status of a DistillJob."""

    teacher: TeacherRecord | None = None
    # the atoms are those of the cell that was run, not the number asked for
    speedup: str = Field("", description="Over the teacher, e.g. 6.531× at 96 atoms.")
    acceptance: list[AcceptanceCheck] = Field([], description="What the student was measured by.")
    measured: list[str] = Field([], description="Beside: other sizes, drift.")
    dft: dict[str, Errors] = Field({}, description="teacher and student against DFT.")

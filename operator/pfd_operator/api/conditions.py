"""Conditions, phases and reasons: closed sets, so that alerts and scripts can rely on them."""

from __future__ import annotations

from enum import StrEnum


class Phase(StrEnum):
    """Where a job stands; the last six are terminal."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUSPENDED = "Suspended"
    CONVERGED = "Converged"
    REFUSED = "Refused"
    MAX_ITERATIONS = "MaxIterations"
    BUDGET_EXHAUSTED = "BudgetExhausted"
    CANCELLED = "Cancelled"
    FAILED = "Failed"

    @property
    def terminal(self) -> bool:
        """True if nothing runs any more and nothing will without a change of the spec."""
        return self not in (Phase.PENDING, Phase.RUNNING, Phase.SUSPENDED)


class ConditionType(StrEnum):
    """The conditions of a job."""

    READY = "Ready"
    """True: a model that met the convergence criteria is at status.model.uri."""
    PROGRESSING = "Progressing"
    """True: stages run. False: done, suspended or stuck; the reason says which."""
    STUCK = "Stuck"
    """True: a pod cannot start, which ends as a failure after a deadline; or the API server refuses the Job, or the
    object store does not answer."""
    CAUTION = "Caution"
    """True: the job works, but there is something you should know. Absent until there is."""
    SPEC_CHANGED = "SpecChanged"
    """True: a part of the spec that must not change mid-run was changed; the run goes on with what it recorded."""


class OperatorReason(StrEnum):
    """Reasons the operator itself gives; a failed stage gives those of contract.result.Reason."""

    STARTED = "Started"
    STAGE_RUNNING = "StageRunning"
    QUEUED = "Queued"
    ITERATION_ENDED = "IterationEnded"
    STAGE_RETRIED = "StageRetried"
    STAGE_INCOMPLETE = "StageIncomplete"
    INPUTS_CHANGED = "InputsChanged"
    TEACHER_PENDING = "TeacherPending"
    TEACHER_FAILED = "TeacherFailed"
    ACCEPTED = "Accepted"
    REFUSED = "Refused"
    CONVERGED = "Converged"
    NOT_CONVERGED = "NotConverged"
    MAX_ITERATIONS = "MaxIterationsReached"
    LABEL_BUDGET = "LabelBudgetExhausted"
    GPU_BUDGET = "GpuBudgetExhausted"
    DEADLINE = "DeadlineExceeded"
    CANCELLED = "Cancelled"
    SUSPENDED = "Suspended"
    RESUMED = "Resumed"
    RESTARTED = "Restarted"
    RESTART_REFUSED = "RestartRefused"
    SPEC_INVALID = "SpecInvalid"
    STATUS_UNREADABLE = "StatusUnreadable"
    SPEC_CHANGED = "SpecChanged"
    SPEC_UNCHANGED = "SpecUnchanged"
    IMAGE_PULL = "ImageCannotBePulled"
    UNSCHEDULABLE = "Unschedulable"
    CONFIG_ERROR = "ContainerConfigError"
    SECRET_MISSING = "SecretMissing"  # noqa: S105 - a reason, not a secret
    NON_ROOT = "ImageCannotRunAsNonRoot"
    POD_PENDING = "PodPending"
    JOB_REFUSED = "JobRefused"
    NAME_TAKEN = "NameTaken"
    NOT_STUCK = "PodsStart"
    ATTEMPTS_EXHAUSTED = "AttemptsExhausted"
    POD_LOST = "PodLost"

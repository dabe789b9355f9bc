"""The one way a stage says that it cannot go on."""

from __future__ import annotations

from pfd_operator.contract.result import ExitCode, LabelCounts, Reason, StageResult


class StageError(Exception):
    """A stage ends without a result.

    Parameters
    ----------
    exit_code
        Who has to act: the user, time, or nobody (the work is saved and goes on in the next attempt).
    reason
        The condition's reason.
    message
        For people: what, where, why, what to do.
    """

    def __init__(self, exit_code: ExitCode, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.reason = reason
        self.message = message

    def result(self) -> StageResult:
        """Return what the operator is told of it."""
        return StageResult(ok=False, reason=self.reason, message=self.message)


class OverBudgetError(StageError):
    """What a label stage lacks would cost more than is left of the budget.

    Parameters
    ----------
    counts
        What the job has paid for.
    left, lacks
        Labels.
    digest
        Where the stage would have committed: by other programs than the pods before it, it finds none of their labels.
    """

    def __init__(self, counts: LabelCounts, left: int, lacks: int, digest: str) -> None:
        message = f"{lacks} labels are neither stored nor paid for, and {left} are left (spec.budget.maxLabels)"
        super().__init__(ExitCode.USER_ERROR, Reason.LABEL_BUDGET, message)
        self._told = {"labels": counts, "lacks": lacks, "digest": digest}

    def result(self) -> StageResult:
        """Return what the operator is told of it, with the counts."""
        return super().result().model_copy(update=self._told)


class AbsentError(StageError):
    """There is no such object in the store."""


def user_error(reason: Reason, message: str) -> StageError:
    """Return an error that no retry can help."""
    return StageError(ExitCode.USER_ERROR, reason, message)


def transient(reason: Reason, message: str) -> StageError:
    """Return an error that a later attempt may not meet again."""
    return StageError(ExitCode.TRANSIENT, reason, message)


def absent(message: str) -> AbsentError:
    """Return that the user names an object that there is not."""
    return AbsentError(ExitCode.USER_ERROR, Reason.MODEL_NOT_FOUND, message)


def data_invalid(message: str) -> StageError:
    """Return that labelled frames of the user cannot be taken."""
    return user_error(Reason.DATA_INVALID, f"{message}.")


def out_of_memory(message: str, of_gpu: bool) -> StageError:
    """Return the end of a stage that needs more memory than it has, which another attempt would not have either."""
    return user_error(Reason.GPU_OUT_OF_MEMORY if of_gpu else Reason.OUT_OF_MEMORY, message)


def preempted(message: str) -> StageError:
    """Return the end of an attempt that was told to stop and has saved its work."""
    return StageError(ExitCode.PREEMPTED, Reason.PREEMPTED, message)

"""What a finished stage found out, written into the status: labels, errors, the best model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from pfd_operator.api.status import (
    KEPT_RECORDS,
    IterationRecord,
    JobStatus,
    ModelRecord,
    StageRecord,
)
from pfd_operator.contract.digest import canonical_json
from pfd_operator.contract.outcome import Outcome, TrainOutcome
from pfd_operator.contract.result import LabelCounts, StageResult
from pfd_operator.contract.text import shortened

from .convergence import Criteria, roughness
from .estimate import labels_needed
from .kept_model import kept_model_misses
from .measured import errors_of, judged_errors, measured_by, thinned

AnyStatus = TypeVar("AnyStatus", bound=JobStatus)
_Kind = TypeVar("_Kind", bound=Outcome)
STATUS_MAX_BYTES = 16 * 1024
JUDGED_ITERATIONS = 7
"""Newest ones that limits of a restart may be compared with: the five that stages are on record of, and two more."""
_WORDS_MAX = 480


def found_by(results: Sequence[StageResult], kind: type[_Kind]) -> _Kind | None:
    """Return what a stage with one result found; None if there is no result, or it is of a stage of another kind."""
    return results[0].found(kind) if results else None


def take_labels(status: AnyStatus, results: Sequence[StageResult]) -> AnyStatus:
    """Return the status with the newest count of labels.

    The pods of a stage count the same ledger at different moments, and it only grows: the largest is the newest.
    """
    counts = [result.labels for result in results if result.labels is not None]
    old = status.labels
    newest = {name: max(getattr(each, name) for each in (old, *counts)) for name in LabelCounts.model_fields}
    return status.model_copy(update={"labels": old.model_copy(update=newest)})


def take_training(
    criteria: Criteria,
    status: AnyStatus,
    iteration: int,
    trained: TrainOutcome,
    model_uri: str | None,
    remark: str = "",
) -> AnyStatus:
    """Return the status with what a train stage measured: the iteration's record, the best model.

    Parameters
    ----------
    model_uri
        Where the best model so far is.
    remark
        What should be known beside a verdict that a limit does not hold.
    """
    limits, measured = criteria.limits, measured_by(trained)
    verdict = criteria.judge(measured)
    model = _best_model(status, trained, model_uri)
    consecutive = status.consecutive + 1 if verdict.met else 0
    message = verdict.message
    if verdict.met:
        held = "iteration" if consecutive == 1 else "iterations in a row"
        message += f"; all limits hold for {consecutive} {held}, {limits.consecutive} asked for"
        buts = filter(None, (kept_model_misses(limits, model, status.iterations), roughness(measured)))
        message += "".join(f". But {but}" for but in buts)
    elif remark:
        message += f". {remark}"
    record = IterationRecord(
        iteration=iteration,
        # what it ended with when it was first done, so that another restart knows it, too
        labels=status.paid_when_first_begun.get(iteration + 1, status.labels.paid),
        training_frames=trained.training_frames,
        prequential=judged_errors(measured, "prequential"),
        holdout=judged_errors(measured, "holdout"),
        novel=measured.novel,
        exploded=measured.exploded,
        met=verdict.met,
        message=shortened(message, _WORDS_MAX),
    )
    iterations = [*status.iterations, record]
    return status.model_copy(
        update={
            "consecutive": consecutive,
            "iterations": iterations,
            "training_errors": errors_of(trained.errors.training),
            "estimate": labels_needed(limits, iterations, trained.given_frames),
            "model": model,
        }
    )


def _best_model(status: JobStatus, trained: TrainOutcome, uri: str | None) -> ModelRecord | None:
    if uri is None:
        return status.model
    return ModelRecord(
        uri=uri,
        iteration=trained.best_iteration or 0,
        fine_tuned=trained.best_iteration is not None,
        errors=errors_of(trained.errors.best),
    )


def add_record(status: AnyStatus, record: StageRecord) -> AnyStatus:
    """Return the status with a finished stage, and no more history than is kept."""
    stages = [*status.stages, record]
    # those of iteration 0 stay: a restart from 1 begins with them, and a student is measured on their hold-out
    first = [each for each in stages[:-KEPT_RECORDS] if each.iteration == 0]
    stages = [*first, *stages[-KEPT_RECORDS:]]
    older = [thinned(each) for each in status.iterations[-KEPT_RECORDS:-JUDGED_ITERATIONS]]
    iterations = [*older, *status.iterations[-JUDGED_ITERATIONS:]]
    return fitted(status.model_copy(update={"stages": stages, "iterations": iterations}))


def fitted(status: AnyStatus) -> AnyStatus:
    """Return the status without its oldest iterations, as far as that is needed to keep it small."""
    while len(status.iterations) > 1 and _size(status) > STATUS_MAX_BYTES:
        status = status.model_copy(update={"iterations": status.iterations[1:]})
    return status


def _size(status: JobStatus) -> int:
    return len(canonical_json(status.to_json()).encode())

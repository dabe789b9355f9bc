"""Iterations done again: labels that they find in the store are paid for, so they count as when they first began."""

from __future__ import annotations

from pfd_operator.api.conditions import OperatorReason
from pfd_operator.api.status import ActiveState, JobStatus
from pfd_operator.contract.outcome import SelectOutcome
from pfd_operator.contract.result import Reason
from pfd_operator.contract.stage import StageKind, StageRef

from .budget import labels_left
from .draft import Draft
from .failures import Failure, Remedy
from .jobs import Success
from .labelling import is_same, made_alike
from .outcome import found_by
from .recipe import Position, position_of
from .retry import close_attempt, fail


def paid_when_first_begun(draft: Draft, rewound: JobStatus, iteration: int) -> dict[int, int]:
    """Return how many labels were paid when iterations that begin again, and find their labels, first began.

    Parameters
    ----------
    rewound
        The status with which `iteration` begins again.
    """
    labels, all_that_follows = _is_found(draft, rewound, iteration)
    if not labels:
        return {}
    paid = _paid_at_first(draft.status, iteration)
    return paid if all_that_follows else {iteration: paid[iteration]}


def missing_labels(draft: Draft, proposed: JobStatus) -> str | None:
    """Say how many labels are missing for an iteration that does not find those it had; None if none is.

    Parameters
    ----------
    proposed
        The status with which the iteration begins again.
    """
    iteration, most, status = proposed.iteration, draft.spec.budget.max_labels, draft.status
    needed = 1 if iteration else draft.recipe.start_labels(draft.spec)
    left = labels_left(draft.spec, status)
    if left >= needed or iteration > status.iteration or proposed.paid_when_first_begun:
        return None
    return (
        f"spec.restart.fromIteration is {iteration}: the settings, or the teacher, have changed since it was first "
        f"done, so it needs at least {needed} new labels, and {left} of {most} are left. Raise spec.budget.maxLabels "
        f"to {status.labels.paid + needed} or more, and set a new spec.restart.id"
    )


def asks_too_much(draft: Draft, success: Success) -> bool:
    """Say whether a selection asks for more labels than are left by its own count.

    What label pods paid for that were cut off, or gone before they were heard, the selection is the first to know of.
    Of an iteration done again, the one of before asks for what is there.
    """
    selected = found_by(success.results, SelectOutcome)
    if selected is None or (draft.status.paid_when_first_begun and success.results[0].reused):
        return False
    return selected.labels > labels_left(draft.spec, draft.status)


def select_anew(draft: Draft, known_before: int) -> None:
    """End the attempt at a selection, and let it be made again by what is left now; nothing of it was labelled yet.

    One that would be asked the same again may answer the same: that is a failure, and counts.

    Parameters
    ----------
    known_before
        Labels that were known to be paid for before the selection told its count.
    """
    draft.set(paid_when_first_begun={})
    position, most = position_of(draft.running), draft.spec.budget.max_labels
    counted = draft.status.labels.paid
    if draft.planned(position).digest == draft.running.digest:
        words = f"it asks for more labels than are left ({counted} of {most} are paid for); raise spec.budget.maxLabels"
        fail(draft, Failure(Remedy.RETRY, Reason.LABEL_BUDGET, words))
        return
    close_attempt(draft, draft.active_job)
    draft.set_active(state=ActiveState.BACKOFF, not_before=None)
    why = f"{counted} are paid for, not {known_before}" if counted > known_before else "the budget was lowered since"
    words = f"asked for more labels than are left ({why})"
    draft.tell(OperatorReason.STAGE_RETRIED, f"{position} {words}", warning=True)


def _paid_at_first(status: JobStatus, iteration: int) -> dict[int, int]:
    # the hold-out's labels alone are no record: of a student's first round, too much may be thought to be left
    known = {iteration: 0, status.iteration: 0} | status.paid_when_first_begun
    known |= {record.iteration + 1: record.labels for record in status.iterations}
    return {number: paid for number, paid in known.items() if number >= iteration}


def _is_found(draft: Draft, rewound: JobStatus, iteration: int) -> tuple[bool, bool]:
    """Say whether an iteration that begins again finds the labels it had, and if so, whether those that follow do.

    It does if it asks for what is on record.
    """
    others = (False, False)
    first = Position(0, StageKind.PREPARE)
    if draft.recipe.params(draft.spec, rewound, first) != draft.recipe.params(draft.spec, draft.status, first):
        # of another teacher
        return others
    records = {record.stage: record for record in draft.status.stages if record.iteration == iteration}
    before = rewound.stages or iteration == 0
    stages = [stage for stage in draft.recipe.stages(draft.spec, iteration) if stage is not StageKind.TRAIN]
    prepare = draft.status.inputs.get(StageKind.PREPARE)
    if not before or prepare is None or any(stage not in records for stage in stages if stage is not StageKind.LABEL):
        # too old to be on record, or never done
        return others if draft.spec_differs else (True, True)
    # an iteration 0 begins with prepare, which commits under the name it did if what follows is the same
    inputs = rewound.inputs | {StageKind.PREPARE.value: prepare}
    paid = _paid_at_first(draft.status, iteration)
    asked = {stage: record.asked or record.digest for stage, record in records.items()}
    if draft.active is not None and draft.active.iteration == iteration:
        asked[draft.active.stage] = draft.active.digest
    # whether it ended, failed, is under way, or was not begun again yet
    labelling = draft.status.labelled.get(iteration)
    for stage in stages:
        status = rewound.model_copy(update={"inputs": inputs, "paid_when_first_begun": paid})
        planned = draft.planned(Position(iteration, stage), status)
        if stage is StageKind.LABEL and labelling is not None:
            # with other time or memory for each it finds those that did not fail; what is trained on them is another
            same, labels = is_same(planned, labelling), made_alike(planned, labelling)
        else:
            same = labels = asked.get(stage) in (None, planned.digest)
        if not same:
            return labels, False
        if (record := records.get(stage)) is not None:
            inputs |= {stage.value: StageRef(digest=record.digest, completions=record.completions)}
    # with other settings those that follow are others
    return True, not draft.spec_differs

"""Label stages: what of their labels stands in the store, and what one that is asked for again may pay for."""

from __future__ import annotations

from pfd_operator.api.conditions import OperatorReason, Phase
from pfd_operator.api.status import LABELS, TASKS, JobStatus, Labelling, StageRecord, Told
from pfd_operator.contract.result import Reason
from pfd_operator.contract.stage import StageKind

from .budget import labels_left
from .draft import Draft
from .failures import Failure
from .indexes import read_indexes
from .recipe import Ending, Position
from .stages import StagePlan, shortened_digest


def is_same(stage: StagePlan, labelling: Labelling) -> bool:
    """Say whether a label stage is that of before."""
    return shortened_digest(stage.digest) == labelling.digest


def made_alike(stage: StagePlan, labelling: Labelling) -> bool:
    """Say whether a stage finds the labels that stand, though it may have other time or memory for each."""
    return is_same(stage, labelling) or (labelling.labels_by is not None and stage.labels_by == labelling.labels_by)


def ending_at(draft: Draft, status: JobStatus, position: Position, attempted: bool) -> Ending | None:
    """Say why the job ends instead of doing what comes next: by its recipe, or labels that failed cost too much."""
    ending = draft.recipe.ending(draft.spec, status, position, attempted)
    if ending is not None or attempted or position.stage is not StageKind.LABEL:
        return ending
    needed, left = _paid_again(draft, status, position), labels_left(draft.spec, status)
    if left >= needed:
        return None
    message = (
        f"{left} of {draft.spec.budget.max_labels} labels (spec.budget.maxLabels) are left, but iteration "
        f"{position.iteration} may lack up to {needed}: their calculations failed, or their pods, and would be tried "
        f"again. Raise the budget to {status.labels.paid + needed} to go on; those that are found cost nothing"
    )
    return Ending(Phase.BUDGET_EXHAUSTED, OperatorReason.LABEL_BUDGET, message)


def note_asked(draft: Draft, stage: StagePlan) -> None:
    """Write down what a label stage is to make, before it does; what stands already, stands."""
    if stage.position.stage is not StageKind.LABEL:
        return
    status, iteration = draft.status, stage.position.iteration
    before = status.labelled.get(iteration)
    known = before is not None and made_alike(stage, before)
    labelling = Labelling(
        digest=shortened_digest(stage.digest),
        labels_by=stage.labels_by,
        lacks=before.lacks if before is not None and known else _asked_for(status) or None,
        again=before.again if before is not None and is_same(stage, before) else None,
    )
    # without its selection on record an iteration is not compared with what it was
    kept = {record.iteration for record in status.stages if record.stage is StageKind.SELECT}
    earlier = {number: each for number, each in status.labelled.items() if number in kept or number > iteration}
    draft.set(labelled=earlier | {iteration: labelling})


def note_heard(draft: Draft) -> None:
    """Count what the running stage's pods said of labels that stand."""
    active = draft.running
    if active.stage is StageKind.LABEL and (before := draft.status.labelled.get(active.iteration)) is not None:
        lacks = max(0, min(before.lacks or 0, _asked_for(draft.status) - active.told.labels))
        _note(draft, active.iteration, lacks=lacks or None)


def note_labelled(draft: Draft, record: StageRecord, told: Told) -> None:
    """Write down of a label stage that ended whether the same finds all of it."""
    labelling = draft.status.labelled.get(record.iteration)
    if record.stage is not StageKind.LABEL or labelling is None:
        return
    all_heard = len(read_indexes(told.indexes)) >= (record.completions or 0)
    _note(draft, record.iteration, again=None if all_heard else labelling.lacks)
    asked = shortened_digest(record.asked or record.digest)
    if asked != labelling.digest:
        # an adopted Job of other settings
        _note(draft, record.iteration, digest=asked, labels_by=None)


def note_failed(draft: Draft, failure: Failure) -> None:
    """Write down that labels which failed are computed again: its own, or those of the hold-out."""
    if failure.reason == Reason.LABELS_FAILED:
        for iteration in {0, draft.running.iteration} & draft.status.labelled.keys():
            _note(draft, iteration, again=draft.status.labelled[iteration].lacks)


def _note(draft: Draft, iteration: int, **changes: object) -> None:
    labelled = draft.status.labelled
    draft.set(labelled=labelled | {iteration: labelled[iteration].model_copy(update=changes)})


def _paid_again(draft: Draft, status: JobStatus, position: Position) -> int:
    """Return how many labels a stage may pay for at most that had been asked for before.

    Whether what failed is tried again is for the store to say, where other jobs share it.
    """
    before = status.labelled.get(position.iteration)
    if before is None:
        return 0
    stage = draft.planned(position, status)
    if is_same(stage, before):
        return before.again or 0
    # all of what a new selection asks for is left
    return before.lacks or 0 if made_alike(stage, before) else _asked_for(status)


def _asked_for(status: JobStatus) -> int:
    """Return how many labels the newest selection asks for; an earlier version counted its calculations only."""
    return status.counts.get(LABELS, status.counts.get(TASKS, 0))

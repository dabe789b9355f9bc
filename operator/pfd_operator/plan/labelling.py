"""Label stages: which labels they find in the store, and what the budget does not allow them."""

from __future__ import annotations

from pfd_operator.api.conditions import OperatorReason, Phase
from pfd_operator.api.status import LABELS_LACKING, LABELS_LEFT, JobStatus, Labelling, StageRecord
from pfd_operator.contract.stage import StageKind

from .budget import labels_left
from .draft import Draft
from .recipe import Ending, Position
from .stages import StagePlan, shortened_digest


def is_same(stage: StagePlan, labelling: Labelling) -> bool:
    """Say whether a label stage is that of before."""
    return shortened_digest(stage.digest) == labelling.digest


def made_alike(stage: StagePlan, labelling: Labelling) -> bool:
    """Say whether a stage finds the labels that stand, though it may have other time or memory for each."""
    return is_same(stage, labelling) or (labelling.labels_by is not None and stage.labels_by == labelling.labels_by)


def ending_at(draft: Draft, status: JobStatus, position: Position, attempted: bool) -> Ending | None:
    """Say why the job ends instead of doing what comes next: by its recipe, or as a label stage has counted."""
    ending = draft.recipe.ending(draft.spec, status, position, attempted)
    lacks = status.counts.get(LABELS_LACKING) if status.active is not None else None
    left = labels_left(draft.spec, status)
    if ending is not None or lacks is None or left >= lacks:
        return ending
    message = (
        f"{left} of {draft.spec.budget.max_labels} labels (spec.budget.maxLabels) are left, but iteration "
        f"{position.iteration} lacks {lacks}: {_why_more(status)}. Raise it to {status.labels.paid + lacks} to go on, "
        "or undo what changed and restart, which counts anew; the labels that are there are found"
    )
    return Ending(Phase.BUDGET_EXHAUSTED, OperatorReason.LABEL_BUDGET, message)


def _why_more(status: JobStatus) -> str:
    """Return why a label stage may lack more than its selection was allowed."""
    changed = (
        "the engine's program or a file of it is another now (its image, what is under the image's tag, a ConfigMap or "
        "a Secret was changed), so that what the former one was paid for does not count, or the budget was lowered"
    )
    tried_again = status.labels.failed or status.labels.wasted
    return f"some failed or were cut off and would be tried again, {changed}" if tried_again else changed


def note_asked(draft: Draft, stage: StagePlan) -> None:
    """Write down what a label stage is to make, before it does, and what its selection may ask for."""
    status, iteration = draft.status, stage.position.iteration
    counts = {name: count for name, count in status.counts.items() if name != LABELS_LACKING}
    if stage.position.stage is StageKind.SELECT:
        counts[LABELS_LEFT] = labels_left(draft.spec, status, iteration)
    draft.set(counts=counts)
    if stage.position.stage is not StageKind.LABEL:
        return
    # without its selection on record an iteration is not compared with what it was; nor are later ones, where this one
    # is another
    kept = {record.iteration for record in status.stages if record.stage is StageKind.SELECT}
    kept |= status.paid_when_first_begun.keys()
    earlier = {number: each for number, each in status.labelled.items() if number in kept}
    labelling = Labelling(
        digest=shortened_digest(stage.digest), labels_by=stage.labels_by, left=status.counts.get(LABELS_LEFT)
    )
    draft.set(labelled=earlier | {iteration: labelling})


def note_labelled(draft: Draft, record: StageRecord) -> None:
    """Write down what a label stage that ended has made: an adopted Job may be of other settings."""
    before = draft.status.labelled.get(record.iteration)
    asked = shortened_digest(record.asked or record.digest)
    if record.stage is StageKind.LABEL and before is not None and before.digest != asked:
        after = before.model_copy(update={"digest": asked, "labels_by": None})
        draft.set(labelled=draft.status.labelled | {record.iteration: after})

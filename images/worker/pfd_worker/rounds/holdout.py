"""The hold-out: which labels are in it, and what is to be known of it in all rounds, since it stays as it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ase import Atoms

from pfd_operator.contract.digest import digest_of
from pfd_operator.contract.result import Caution, CautionReason
from pfd_operator.contract.selection import HOLD_OUT
from pfd_operator.contract.stage import Input
from pfd_operator.contract.text import first_of
from pfd_worker import stage_files
from pfd_worker.frames import read_frames
from pfd_worker.label_files import read_tasks
from pfd_worker.labelers.task import structure_content
from pfd_worker.rounds.labels import collect_labels, labels_failed
from pfd_worker.stage_context import StageContext

CAUTIONS_OF_HOLD_OUT = (CautionReason.HOLD_OUT_GIVEN, CautionReason.HOLD_OUT_SHRUNK, CautionReason.HOLD_OUT_SPARSE)


def given_and_holdout(
    context: StageContext, labels: list[Atoms], max_failed_fraction: float
) -> tuple[list[Atoms], list[Atoms], list[Caution | None]]:
    """Return what the first round has beside the new frames to train on.

    Parameters
    ----------
    context
        Of a train stage.
    labels
        Of this round.
    max_failed_fraction
        As `collect_labels`.

    Returns
    -------
    given
        Frames to train on that the user gave, without those of the hold-out.
    holdout
        Labelled.
    cautions
        Of the hold-out.

    Raises
    ------
    StageError
        As `holdout_labels`.
    """
    prepare, given = context.one(Input.PREPARE), []
    if stage_files.GIVEN_DATA in prepare.files:
        given = read_frames(context.fetch(prepare, stage_files.GIVEN_DATA))
    holdout = holdout_labels(context, labels, max_failed_fraction)
    given, left_out = _without(given, holdout)
    said = context.one(_select(context)).result.cautions
    sparse = [each for each in said if each.reason is CautionReason.HOLD_OUT_SPARSE]
    return given, holdout, [left_out, shrunk_holdout(context, holdout), *sparse]


def holdout_labels(context: StageContext, labels: list[Atoms], max_failed_fraction: float) -> list[Atoms]:
    """Return the frozen hold-out: among these labels, or those of the stage named `holdout`.

    Raises
    ------
    StageError
        LabelsFailed, if there is none, or if a stage of its own left more of its tasks without a label than allowed.
    """
    label = Input.HOLD_OUT if context.has(Input.HOLD_OUT) else Input.LABEL
    if label is Input.HOLD_OUT:
        labels = collect_labels(context, max_failed_fraction, label, Input.HOLD_OUT_SELECT)
    holdout = [atoms for atoms in labels if atoms.info["purpose"] == HOLD_OUT]
    if not holdout:
        words = "no hold-out frame has a label, so no model can be measured (failures.json of the label stage says why)"
        raise labels_failed(context, label, words)
    return holdout


def _select(context: StageContext) -> Input:
    """Return the input that chose the hold-out: a stage of its own, or the first iteration's."""
    return Input.HOLD_OUT_SELECT if context.has(Input.HOLD_OUT) else Input.SELECT


def shrunk_holdout(context: StageContext, holdout: Sequence[Atoms]) -> Caution | None:
    """Return a remark on a hold-out that lacks labels it was to have: it stays like this."""
    asked = sum(task.purpose == HOLD_OUT for task in read_tasks(context, _select(context)))
    if len(holdout) >= asked:
        return None
    message = (
        f"{len(holdout)} of {asked} frames of the hold-out have a label, since the others' calculations failed; every "
        "error, and which model is the best, rests on these. Where time or memory was at fault, give more, and set "
        "spec.restart with the iteration of the hold-out"
    )
    return Caution(reason=CautionReason.HOLD_OUT_SHRUNK, message=message)


def _without(given: Sequence[Atoms], holdout: Sequence[Atoms]) -> tuple[list[Atoms], Caution | None]:
    """Return the given frames that are not of the hold-out, and a remark if some are.

    A job that goes the way of an earlier one has its hold-out, and users may give the earlier one's files.
    """
    measured = {digest_of(structure_content(atoms)) for atoms in holdout}
    kept, equal = [], Counter[str]()
    for atoms in given:
        if digest_of(structure_content(atoms)) in measured:
            equal[str(atoms.info["trajectory"])] += 1
        else:
            kept.append(atoms)
    if not equal:
        return kept, None
    named = first_of([f"{count} of {where}" for where, count in equal.items()])
    message = (
        f"frames of data that are in this job's hold-out, too, are left out of training: {named}. A model that has "
        "learned them would seem better than it is. Of another job give dataset.extxyz, and not its holdout.extxyz"
    )
    return kept, Caution(reason=CautionReason.HOLD_OUT_GIVEN, message=message)

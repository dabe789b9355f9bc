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
        Frames to train on that the user gave.
    holdout
        Labelled: those that the user gave, or that were computed.
    cautions
        Of one that was computed.

    Raises
    ------
    StageError
        As `holdout_labels`.
    """
    prepare = context.one(Input.PREPARE)
    given, holdout = (
        read_frames(context.fetch(prepare, name)) if name in prepare.files else []
        for name in (stage_files.GIVEN_DATA, stage_files.HOLD_OUT)
    )
    if holdout:
        return given, holdout, []
    holdout = holdout_labels(context, labels, max_failed_fraction)
    said = context.one(_select(context)).result.cautions
    sparse = [each for each in said if each.reason is CautionReason.HOLD_OUT_SPARSE]
    return given, holdout, [shrunk_holdout(context, holdout), *sparse]


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


def apart_from(holdout: Sequence[Atoms], frames: Sequence[Atoms]) -> tuple[list[Atoms], list[Atoms]]:
    """Return frames that are not of the hold-out, and those that are."""
    measured = {digest_of(structure_content(atoms)) for atoms in holdout}
    parts: tuple[list[Atoms], list[Atoms]] = ([], [])
    for atoms in frames:
        parts[digest_of(structure_content(atoms)) in measured].append(atoms)
    return parts


def left_out_of_training(equal: Sequence[Atoms]) -> Caution | None:
    """Return a remark on frames that would be trained on, were they not of the hold-out; nothing if there are none.

    A job that goes the way of an earlier one has its hold-out, and users may give the earlier one's files.
    """
    if not equal:
        return None
    counts = Counter(str(atoms.info["trajectory"]) for atoms in equal)
    named = first_of([f"{count} of {where}" for where, count in counts.items()])
    message = (
        f"frames that are in this job's hold-out, too, are left out of training: {named}. A model that has learned "
        "them would seem better than it is. As data give dataset.extxyz of another job, and not its holdout.extxyz"
    )
    return Caution(reason=CautionReason.HOLD_OUT_GIVEN, message=message)

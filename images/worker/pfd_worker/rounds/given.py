"""Frames that the user gave: a model is not trained on those that it is measured on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ase import Atoms

from pfd_operator.contract.digest import digest_of
from pfd_operator.contract.result import Caution, CautionReason
from pfd_operator.contract.text import first_of
from pfd_worker.labelers.task import structure_content


def without_holdout(given: Sequence[Atoms], holdout: Sequence[Atoms]) -> tuple[list[Atoms], Caution | None]:
    """Return the given frames that are not of the hold-out, and a remark if some are.

    A job that goes the way of an earlier one has its hold-out, and users may give the earlier one's files.

    Parameters
    ----------
    given
        As prepare stored them, with their file as `trajectory` in info.
    holdout
        Labelled.
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

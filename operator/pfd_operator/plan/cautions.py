"""Remarks on what works: kept by their reasons, and all said in one condition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pfd_operator.api.conditions import ConditionType
from pfd_operator.api.status import JobStatus
from pfd_operator.contract.result import CautionReason, StageResult
from pfd_operator.contract.stage import StageKind
from pfd_operator.contract.text import MESSAGE_MAX, shortened

from .conditions import find_true
from .draft import Draft
from .remarks import gpus_idle, made

_OF_STAGES = {
    StageKind.PREPARE: {
        CautionReason.UNOBSERVED_ELEMENTS,
        CautionReason.MASSES,
        CautionReason.ISOLATED_ATOMS,
        CautionReason.LARGE_DISPLACEMENT,
        CautionReason.SHORT_CELLS,
        CautionReason.FEW_STARTS,
    },
    StageKind.EXPLORE: {CautionReason.LONG_TIMESTEP},
    StageKind.SELECT: {CautionReason.FEW_CANDIDATES},
    StageKind.TRAIN: {
        CautionReason.SHORT_CELLS_OF_STUDENT,
        CautionReason.HOLD_OUT_GIVEN,
        CautionReason.HOLD_OUT_SHRUNK,
        CautionReason.HOLD_OUT_SPARSE,
        CautionReason.ZERO_OPEN,
        CautionReason.LABELS_NOT_CONVERGED,
    },
    StageKind.ACCEPT: {
        CautionReason.ISOLATED_ATOMS,
        CautionReason.DFT_FRAMES_LEFT_OUT,
        CautionReason.FEW_TIMED_STEPS,
    },
}
"""Whose end takes a remark back that is not made again; all others are the recipe's.

Those on starts, which never change, are prepare's, whoever makes them.
"""


def take_cautions(draft: Draft, stage: StageKind, results: Sequence[StageResult]) -> None:
    """Take what a finished stage and the recipe remark in place of what they remarked before."""
    known = _known(draft.status)
    others = frozenset().union(*_OF_STAGES.values()) - _OF_STAGES.get(stage, set())
    cautions = {reason: words for reason, words in known.items() if reason in others}
    said = (
        *(each for result in results for each in result.cautions),
        *draft.recipe.cautions(draft.spec, draft.status),
        *made({CautionReason.IDLE_GPUS: gpus_idle(draft.spec, draft.settings)}),
    )
    told: dict[str, list[str]] = {}
    for caution in said:
        told.setdefault(caution.reason.value, []).append(caution.message)
    # pods of one stage say the same, and of two files there may be two things to say
    cautions |= {reason: "; ".join(dict.fromkeys(words)) for reason, words in told.items()}
    for reason, words in cautions.items():
        if known.get(reason) != words:
            draft.tell(CautionReason(reason), words, warning=True)
    draft.set(cautions=cautions)
    if cautions:
        draft.condition(ConditionType.CAUTION, True, min(cautions), _together(cautions))
    elif known:
        draft.condition(ConditionType.CAUTION, False, min(known), "what was remarked no longer holds")


def _known(status: JobStatus) -> Mapping[str, str]:
    condition = find_true(status, ConditionType.CAUTION)
    if status.cautions or condition is None:
        return status.cautions
    # an earlier version kept the last remark only, and nowhere else
    return {condition.reason: condition.message}


def _together(cautions: Mapping[str, str]) -> str:
    """Return a message for all of them, each shortened to its share of what a condition holds."""
    if len(cautions) == 1:
        return next(iter(cautions.values()))
    share = MESSAGE_MAX // len(cautions) - len("; ")
    # by name: the API server sorts them
    parts = ((f"{reason}: ", words.rstrip(".")) for reason, words in sorted(cautions.items()))
    return "; ".join(name + shortened(words, share - len(name)) for name, words in parts)

"""Remarks on what works: kept by their reasons, and all said in one condition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pfd_operator.api.conditions import ConditionType
from pfd_operator.api.status import JobStatus
from pfd_operator.contract.result import CautionReason, StageResult
from pfd_operator.contract.text import MESSAGE_MAX, shortened

from .conditions import find_true
from .draft import Draft
from .recipe import AnyRecipe

_OF_SETTINGS = frozenset({CautionReason.LIMIT_BELOW_NOISE, CautionReason.BUDGET_BELOW_LIMITS})
"""What depends on limits and budgets, which may be raised."""


def take_cautions(draft: Draft, recipe: AnyRecipe, results: Sequence[StageResult]) -> None:
    """Add what a finished stage and the recipe remark; leave out what no longer holds."""
    known = _known(draft.status)
    cautions = {reason: words for reason, words in known.items() if reason not in _OF_SETTINGS}
    for caution in (*(result.caution for result in results), *recipe.cautions(draft.spec, draft.status)):
        if caution is not None:
            cautions[caution.reason.value] = caution.message
            if known.get(caution.reason) != caution.message:
                draft.tell(caution.reason, caution.message, warning=True)
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

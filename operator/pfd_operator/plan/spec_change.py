"""A frozen part of the spec that was changed: the job holds still, and says so, until it is restored."""

from __future__ import annotations

from pfd_operator.api.conditions import ConditionType, OperatorReason

from .draft import Draft


def note_spec_change(draft: Draft) -> None:
    """Say whether a frozen part of the spec was changed."""
    if draft.status.spec_digest is None:
        return
    same = not draft.spec_differs
    if same:
        # also where nobody changed it: another operator, with other defaults, has another digest for it
        draft.freeze_spec()
    if draft.status.phase.terminal or draft.restart_pending:
        return
    if same:
        if draft.was_held:
            # what ended meanwhile was judged by limits that were never to hold
            draft.status = draft.recipe.judged(draft.spec, draft.status)
        draft.condition(ConditionType.SPEC_CHANGED, False, OperatorReason.SPEC_UNCHANGED, "")
        return
    message = (
        "a part of the spec that is frozen once a job has started was changed: no new stage starts until it is "
        "restored; for other settings create another job (docs/api.md, Labels of a former job)"
    )
    if draft.spec.restart is not None:
        message += (
            ". What was changed with a restart that was refused (Event RestartRefused) is restored, or corrected as "
            "the Event says, together with a new spec.restart.id"
        )
    if not draft.was_held:
        draft.tell(OperatorReason.SPEC_CHANGED, message, warning=True)
    draft.condition(ConditionType.SPEC_CHANGED, True, OperatorReason.SPEC_CHANGED, message)

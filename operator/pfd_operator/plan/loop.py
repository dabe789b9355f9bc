"""One decision: an ordered list of levels, each of which looks at one thing. Walks any recipe."""

from __future__ import annotations

from datetime import datetime

from pfd_operator.api.conditions import Phase
from pfd_operator.api.kinds import DISTILL_JOB, FINE_TUNE_JOB
from pfd_operator.api.status import ActiveStage, ActiveState, JobStatus

from .attempts import begin_stage, create_again, next_attempt
from .distill import DISTILL
from .draft import Draft
from .finetune import FINE_TUNE
from .follow import follow
from .labelling import ending_at
from .lifecycle import begin, leave, obey, reopen
from .memory import with_more_memory
from .observed import Observed
from .outdated import replace_outdated
from .progressing import show_progressing
from .recipe import AnyRecipe, position_of
from .restart import given_up, restart
from .spec_change import note_spec_change
from .stage_defaults import with_defaults
from .stuck import watch_stuck
from .tidy import tidy
from .types import Decision, Resource, Settings

RECIPES: dict[str, AnyRecipe] = {FINE_TUNE_JOB.name: FINE_TUNE, DISTILL_JOB.name: DISTILL}


def plan(resource: Resource, status: JobStatus, observed: Observed, settings: Settings, now: datetime) -> Decision:
    """Decide what to do about one resource.

    Parameters
    ----------
    resource
        The custom resource as it is now.
    status
        What was decided before; nothing else is remembered.
    observed
        Its children as the caches have them; may be late.
    settings
        What the administrator decided.
    now
        The time, with a time zone.

    Returns
    -------
    Decision
        The same for the same arguments. Its status must be written before its actions are carried out.
    """
    resource = with_defaults(resource, settings.stage_pods.defaults)
    draft = Draft(RECIPES[resource.kind], resource, status, observed, settings, now)
    if resource.deleting:
        leave(draft)
        tidy(draft)
        return draft.decision()
    draft.set(
        observed_generation=resource.generation,
        labels=status.labels.model_copy(update={"budget": resource.spec.budget.max_labels}),
    )
    restart(draft)
    draft.resource = with_more_memory(draft.resource, draft.status.memory_steps)
    reopen(draft)
    begin(draft)
    if not draft.status.phase.terminal:
        follow(draft)
    obey(draft)
    note_spec_change(draft)
    replace_outdated(draft)
    _advance(draft)
    watch_stuck(draft)
    tidy(draft)
    show_progressing(draft)
    return draft.decision()


def _advance(draft: Draft) -> None:
    """Start what comes next: a stage, an attempt, or the end; a restart that waits for its turn comes before that."""
    if draft.status.phase is not Phase.RUNNING or draft.held_by_spec:
        return
    active = draft.active
    if active is not None and active.state is ActiveState.INTENDED:
        if not (draft.restart_pending and given_up(draft, active)):
            create_again(draft, active)
    elif not draft.restart_pending and (active is None or active.state is ActiveState.BACKOFF):
        _go_on(draft, active)


def _go_on(draft: Draft, active: ActiveStage | None) -> None:
    position = position_of(active) if active is not None else draft.recipe.next(draft.spec, draft.status)
    ending = ending_at(draft, draft.status, position, attempted=active is not None)
    if ending is not None:
        draft.end(ending.phase, ending.reason, ending.message, ending.ready)
    elif active is None:
        begin_stage(draft, position)
    else:
        next_attempt(draft, active)

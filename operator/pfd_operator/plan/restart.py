"""Back to the start of an iteration, out of any phase: later ones are forgotten here, but not in the store."""

from __future__ import annotations

from dataclasses import replace

from pfd_operator.api.conditions import ConditionType, OperatorReason, Phase
from pfd_operator.api.status import ActiveStage, ActiveState, DistillJobStatus, JobStatus
from pfd_operator.contract.stage import StageKind, StageRef

from .attempts import DELETION_LOOK_SECONDS, halt
from .draft import Draft
from .jobs import is_live
from .recipe import Position
from .redone import missing_labels, paid_when_first_begun
from .teacher import taken_over


def restart(draft: Draft) -> None:
    """Halt what runs, and once nothing does, go back to the iteration that is asked for."""
    wanted = draft.spec.restart
    if wanted is None or not draft.restart_pending:
        return
    complaint = _complaint(draft, _proposed(draft, wanted.from_iteration))
    if complaint is not None:
        draft.set(restart_id=wanted.id)
        draft.tell(OperatorReason.RESTART_REFUSED, complaint, warning=True)
        return
    halt(draft)
    if not _at_rest(draft):
        # no attempt of before may still write when the same stage begins anew; what is being deleted goes without a
        # word that would wake us
        draft.wake(DELETION_LOOK_SECONDS)
        return
    # it was of an attempt that is given up
    draft.observed = replace(draft.observed, refusal="")
    away, first_attempt = draft.ended_seconds, _next_attempt(draft)
    draft.unseen = True
    # out of the status of now: halting booked what the running attempt cost
    draft.status = _proposed(draft, wanted.from_iteration)
    draft.set(
        phase=Phase.RUNNING if draft.status.phase.terminal else draft.status.phase,
        restart_id=wanted.id,
        first_attempt=first_attempt,
        # limits may have been changed with it
        memory_steps={},
        suspended_seconds=draft.status.suspended_seconds + away,
    )
    draft.freeze_spec()
    words = f"goes back to the start of iteration {wanted.from_iteration} (spec.restart, id {wanted.id})"
    draft.condition(ConditionType.READY, False, OperatorReason.NOT_CONVERGED, words)
    if wanted.from_iteration == 0:
        words += _begun_with(draft)
    draft.tell(OperatorReason.RESTARTED, words)


def _proposed(draft: Draft, iteration: int) -> JobStatus:
    """Return the status with which an iteration would begin again, in no phase in particular.

    It is that of before it first began, judged by the limits of now. Where it will find the labels that it had, it
    counts them as paid for, and has what was left of the budget then.
    """
    status = draft.status
    stages = [r for r in status.stages if r.iteration < iteration and r.stage is not StageKind.ACCEPT]
    inputs = {record.stage.value: StageRef(digest=record.digest, completions=record.completions) for record in stages}
    if iteration and StageKind.PREPARE in status.inputs:
        # done once: its record may be too old to be kept
        inputs[StageKind.PREPARE.value] = status.inputs[StageKind.PREPARE]
    rewound: JobStatus = draft.recipe.rewound(
        draft.spec,
        status.model_copy(
            update={
                "active": None,
                "finished_at": None,
                "iteration": iteration,
                "stages": stages,
                "inputs": inputs,
                "iterations": [record for record in status.iterations if record.iteration < iteration],
                "estimate": None,
                "training_errors": None,
                # the best there is until another is trained; only a hold-out made anew would judge it otherwise
                "model": status.model if iteration else None,
            }
        ),
    )
    if _begins_anew(draft, iteration):
        rewound = draft.recipe.started(rewound, draft.observed)
    paid = paid_when_first_begun(draft, rewound, iteration)
    # what is not found selects by what is left now
    labelled = {
        number: each if number < iteration or number in paid else each.model_copy(update={"left": None})
        for number, each in rewound.labelled.items()
    }
    return rewound.model_copy(update={"paid_when_first_begun": paid, "labelled": labelled})


def _begins_anew(draft: Draft, iteration: int) -> bool:
    """Say whether what comes from outside is taken as it is now; where it is not to be had, what the job has stays."""
    return iteration == 0 and draft.recipe.hindrance(draft.spec, draft.observed, draft.settings) is None


def _begun_with(draft: Draft) -> str:
    """Return which FineTuneJob's model a job begins anew with, as the end of a sentence; nothing if with none."""
    hindrance = draft.recipe.hindrance(draft.spec, draft.observed, draft.settings)
    if hindrance is None:
        return taken_over(draft.observed.teacher)
    if not isinstance(draft.status, DistillJobStatus) or draft.status.teacher is None:
        return ""
    return f". It keeps the teacher that it had, since a new job could not begin: {hindrance.message}"


def _can_begin(draft: Draft, proposed: JobStatus) -> bool:
    """Say whether the iteration before has ended, with a record that is still there."""
    iteration = proposed.iteration
    if iteration == 0:
        return True
    if iteration <= draft.status.iteration and not proposed.paid_when_first_begun:
        # whether there are labels for it is another question, which has a number for an answer
        proposed = proposed.model_copy(update={"paid_when_first_begun": {iteration: 0}})
    stages = proposed.stages
    if not stages or (iteration == 1 and stages[0].stage is not StageKind.PREPARE):
        # an earlier version kept those of iteration 0 no longer than others
        return False
    return draft.recipe.next(draft.spec, proposed) == Position(iteration, StageKind.EXPLORE)


def _complaint(draft: Draft, proposed: JobStatus) -> str | None:
    """Say why an iteration cannot be begun again, and how to get out; None if it can.

    Parameters
    ----------
    proposed
        The status with which it would begin.
    """
    if _can_begin(draft, proposed):
        # those of a teacher the schema does not know
        unfit = draft.spec.exploration.unfit_for(draft.recipe.systems(draft.spec, proposed))
        words = f"spec.{unfit}" if unfit else missing_labels(draft, proposed)
        if words is None:
            return None
    else:
        after = sorted({0, *(record.iteration + 1 for record in draft.status.stages)})
        possible = [str(i) for i in after if _can_begin(draft, _proposed(draft, i))]
        words = (
            f"spec.restart.fromIteration is {proposed.iteration}, but the job can be restarted from "
            f"{', '.join(possible)} only: the iteration before must have ended and still be in status.stages, and the "
            "budget must not be used up"
        )
        last = draft.status.iteration
        if proposed.iteration > last and not draft.status.phase.terminal:
            words += (
                f". {last + 1} can be begun when iteration {last} has ended: spec.stop AfterIteration waits for that"
            )
    if draft.spec_differs:
        words += (
            ". What was changed together with it is frozen without a restart: restore it, or ask for what can be done, "
            "together with a new spec.restart.id"
        )
    return words


def _at_rest(draft: Draft) -> bool:
    active, patience = draft.active, draft.settings.node_lost_after_seconds
    known = active is None or active.state is ActiveState.BACKOFF or given_up(draft, active)
    return known and not any(is_live(job, draft.now, patience) for job in draft.observed.jobs)


def given_up(draft: Draft, active: ActiveStage) -> bool:
    """Say whether an attempt that is not seen need not be waited for.

    While the job runs it is created, and seen a little later: unless the API server refuses it. Otherwise nobody
    creates it any more. Whether the API server has it all the same is asked before a restart is done.
    """
    runs = draft.status.phase is Phase.RUNNING and not draft.was_held
    return active.state is ActiveState.INTENDED and (not runs or bool(draft.observed.refusal))


def _next_attempt(draft: Draft) -> int:
    """Return a number that no Job's name has yet."""
    used = [job.attempt for job in draft.observed.jobs]
    used += [draft.active.attempt] if draft.active is not None else []
    return 1 + max([draft.status.first_attempt, *used])

"""What came of an attempt, as its Job shows it: the record of the running stage, and of one that has ended."""

from __future__ import annotations

from dataclasses import replace

from pfd_operator.api.conditions import ConditionType, OperatorReason
from pfd_operator.api.status import ActiveState, StageRecord
from pfd_operator.contract.stage import StageKind, StageRef

from .attempts import DELETION_LOOK_SECONDS
from .cautions import take_cautions
from .draft import Draft
from .failures import Failure, Remedy, lost
from .jobs import Success, end_of, first_start, hung_since, with_pods_seen
from .labelling import note_labelled
from .memory import more_memory_left
from .observed import ObservedJob
from .outcome import add_record, take_labels
from .queueing import note_queueing
from .recipe import position_of
from .redone import asks_too_much, select_anew
from .retry import close_attempt, fail, failures_with


def follow(draft: Draft) -> None:
    """Bring the record of the running stage up to what is seen of its Job; record its outcome, once."""
    active, job = draft.active, draft.active_job
    if active is None or active.state is ActiveState.BACKOFF:
        return
    if job is None:
        if active.state is ActiveState.CREATED:
            fail(draft, lost(active.stage, f"Job {active.job_name}"))
        return
    if job.deleting:
        # its last pods go without a word that would wake us
        draft.wake(DELETION_LOOK_SECONDS)
    known_before = draft.status.labels.paid
    note_queueing(draft, job)
    _note_job(draft, job)
    ended = end_of(job, draft.spec.pods.of(active.stage).resources.memory_limit, draft.running.told)
    if ended is None and _hangs(draft, job):
        ended = lost(active.stage, f"Job {job.name}")
    if isinstance(ended, Success) and asks_too_much(draft, ended):
        select_anew(draft, known_before)
    elif isinstance(ended, Success) and (failure := _incomplete(draft, ended.lacking)) is not None:
        fail(draft, failure)
    elif isinstance(ended, Success):
        _record(draft, ended)
    elif ended is not None:
        fail(draft, ended)


def _incomplete(draft: Draft, lacking: Failure | None) -> Failure | None:
    """Return as what failure of the stage that of some of its pods counts; None if it goes on with what there is.

    After an outage the others do their work. Otherwise it is done again as long as that may help: the selection, and
    above all the hold-out, want all of it. What the other pods did is found in the store, and so are the labels that
    the failed ones had paid for. Lack of memory is met again by MD; of calculations those that met it are known in the
    store, come last, and are failed labels in the end.
    """
    if lacking is None or lacking.remedy is Remedy.OUTAGE:
        return lacking
    draft.unseen = draft.unseen or lacking.unseen
    if lacking.wants_memory and more_memory_left(draft.spec, draft.status, draft.running.stage):
        return lacking
    helps = lacking.remedy is not Remedy.FAIL or draft.running.stage is StageKind.LABEL
    left = failures_with(draft.running) < draft.settings.max_counted_failures
    return replace(lacking, remedy=Remedy.RETRY) if left and helps else None


def _note_job(draft: Draft, job: ObservedJob) -> None:
    active = draft.running
    progress = draft.observed.progress
    # paid for whatever comes of the stage
    draft.status = take_labels(draft.status, [pod.result for pod in job.pods if pod.result is not None])
    draft.set_active(
        state=ActiveState.CREATED,
        completions=job.completions,
        started_at=active.started_at or first_start(job),
        percent=int(progress.percent) if progress is not None else active.percent,
        message=progress.message if progress is not None else active.message,
        # a new Job has yet to find what earlier attempts have done
        succeeded_indexes=max(active.succeeded_indexes, job.succeeded_indexes),
        failed_indexes=job.failed_indexes,
        told=with_pods_seen(active.told, job),
        gone_pods_seconds=max(active.gone_pods_seconds, round(job.gone_pods_seconds)),
    )
    active = draft.running
    if job.completions is not None and job.completions > 1:
        draft.set(progress=f"{job.succeeded_indexes}/{job.completions}")
    elif active.percent is not None:
        draft.set(progress=f"{active.percent} %")


def _hangs(draft: Draft, job: ObservedJob) -> bool:
    since = hung_since(job)
    if since is None:
        return False
    left = draft.settings.node_lost_after_seconds - (draft.now - since).total_seconds()
    draft.wake(left)
    return left <= 0


def _record(draft: Draft, success: Success) -> None:
    active, job = draft.running, draft.running_job
    close_attempt(draft, job)
    position = position_of(active)
    # not what this attempt was to ask, if a pod is left to say so: an adopted Job may be of other settings
    asked = [result.asked for result in success.results] or [active.digest]
    seconds = round((draft.now - active.intended_at).total_seconds())
    reused = bool(success.results) and all(result.reused for result in success.results)
    draft.status = draft.recipe.take(draft.spec, draft.status, position, success.results)
    if active.stage is StageKind.SELECT and not reused:
        # other frames than when it was first done, if it was: from here on labels are new ones
        draft.set(paid_when_first_begun={})
    draft.set(
        active=None,
        progress="",
        inputs=draft.status.inputs | {active.stage.value: StageRef(digest=success.digest, completions=job.completions)},
    )
    record = StageRecord(
        iteration=active.iteration,
        stage=active.stage,
        digest=success.digest,
        asked=next((digest for digest in asked if digest not in (None, success.digest)), None),
        completions=job.completions,
        attempts=active.attempt - draft.status.first_attempt + 1,
        seconds=max(0, seconds),
        reused=reused,
    )
    draft.status = add_record(draft.status, record)
    note_labelled(draft, record)
    if success.lacking is not None:
        words = f"{position} {_lacks(success, job)}; of one: {success.lacking.message}"
        draft.tell(OperatorReason.STAGE_INCOMPLETE, words, warning=True)
    draft.show_nothing_stuck()
    take_cautions(draft, active.stage, success.results)
    if active.stage is StageKind.TRAIN and draft.status.iterations:
        words = draft.status.iterations[-1].message
        draft.condition(ConditionType.READY, False, OperatorReason.NOT_CONVERGED, words)
        # one Event for the whole iteration: each is a write
        draft.tell(OperatorReason.ITERATION_ENDED, f"iteration {active.iteration}: {_durations(draft)}. {words}")


def _lacks(success: Success, job: ObservedJob) -> str:
    """Return what a stage of several pods goes on without, or may, as the end of a sentence."""
    lacks = []
    if success.missing:
        lacks.append(f"goes on without {success.missing} of its {job.completions} pods' results")
    if success.unheard:
        lacks.append(
            f"did not hear {success.unheard} of its {job.completions} pods, which ended well: their results are used "
            f"if they are below stages/{success.digest}"
        )
    return " and ".join(lacks)


def _durations(draft: Draft) -> str:
    """Return what the stages of the iteration took."""
    return ", ".join(
        f"{record.stage.value} {record.seconds} s" + (" (reused)" if record.reused else "")
        for record in draft.status.stages
        if record.iteration == draft.status.iteration
    )

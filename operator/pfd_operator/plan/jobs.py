"""What the pods of a Job say about its stage: it goes on, it succeeded, or it failed and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from pfd_operator.api.conditions import OperatorReason
from pfd_operator.api.status import Told
from pfd_operator.contract.result import StageResult
from pfd_operator.contract.stage import StageKind

from .failures import LACKS_MEMORY, Failure, Remedy, classify, disagreement, lost
from .indexes import read_indexes, write_indexes
from .observed import ObservedJob, ObservedPod


@dataclass(frozen=True)
class Success:
    """The stage succeeded; an indexed one has a result of each pod that is still there."""

    digest: str
    """Where the results are, as pods have told: that is not always what was asked for."""
    results: tuple[StageResult, ...]
    missing: int = 0
    """Indexes that failed finally."""
    unheard: int = 0
    """Indexes that succeeded, of which it was not seen where their results are."""
    lacking: Failure | None = None
    """Why, if there are such indexes: an outage, or else what the last of their pods said."""


_GRAVEST_FIRST = (Remedy.FAIL, Remedy.BUDGET, Remedy.RETRY_FREE, Remedy.OUTAGE, Remedy.RETRY)
Ended = Success | Failure | None
"""None: it goes on."""


def end_of(job: ObservedJob, memory_limit: str | None, told: Told) -> Ended:
    """Return how a Job ended, as its pods show it; pods are ahead of their Job's own conditions by a second.

    Parameters
    ----------
    memory_limit
        Of the stage's main container, as the user wrote it; None if there is none.
    told
        What pods have said, those that are gone and those that are seen.
    """
    if job.completions is None:
        return _single(job, memory_limit)
    return _indexed(job, job.completions, memory_limit, told)


def with_pods_seen(told: Told, job: ObservedJob) -> Told:
    """Return what pods have said so far, with what those of an indexed Job say that are seen now."""
    results = _results_by_index(job)
    first = next(iter(results.values()), None)
    if job.completions is None or first is None:
        return told
    return Told(
        digest=told.digest or first.digest or "", indexes=write_indexes(read_indexes(told.indexes) | results.keys())
    )


def is_live(job: ObservedJob, now: datetime, node_lost_after_seconds: float) -> bool:
    """Return True if a Job has running pods or may still create some.

    A pod whose grace has been over for `node_lost_after_seconds` is taken for dead: its node does not answer.
    """
    if any(_pod_lives(pod, now, node_lost_after_seconds) for pod in job.pods):
        return True
    if job.finished is not None:
        return False
    if job.deleting:
        # Deleted in the foreground, it is there until its pods are gone: with none in sight, the watch of the pods is
        # behind that of the Jobs.
        return not job.pods
    if job.completions is None:
        return not job.pods or not all(pod.ended for pod in job.pods)
    return job.succeeded_indexes + job.failed_indexes < job.completions


def hung_since(job: ObservedJob) -> datetime | None:
    """Return since when a Job hangs, or will: pods should have ended that it cannot do without; None if none of them.

    An indexed stage goes on in all its other pods, and hangs when there are no others.
    """
    since = [pod.grace_ends_at for pod in job.pods if not pod.ended]
    times = [time for time in since if time is not None]
    if job.completions is None:
        return min(times, default=None)
    return max(times, default=None) if len(times) == len(since) else None


def _pod_lives(pod: ObservedPod, now: datetime, node_lost_after_seconds: float) -> bool:
    if pod.ended:
        return False
    return pod.grace_ends_at is None or (now - pod.grace_ends_at).total_seconds() < node_lost_after_seconds


def _single(job: ObservedJob, memory_limit: str | None) -> Ended:
    # of pods that work together the first one commits; the others have nothing to say
    heads = [pod for pod in job.pods if not pod.index]
    results = [result for pod in heads if (result := _good_result(pod, job.stage)) is not None]
    # by what a stage does not tell, nothing can be planned
    telling = next((result for result in results if result.outcome is not None), None)
    if telling is not None:
        return Success(telling.digest or "", (telling,))
    if job.finished is None and job.suspended:
        # pods that a queue preempts before they started leave no trace; the Job goes on when it is admitted again
        return None
    if not all(pod.ended for pod in job.pods):
        return None
    newest = sorted(job.pods, key=_age_key)[-job.nodes :]
    failed = [pod for pod in newest if pod.phase == "Failed"]
    if job.finished is None and not failed and len(newest) < job.nodes:
        return None
    if not newest:
        return lost(job.stage, f"a pod of Job {job.name}")
    return _cause([(pod, classify(pod, job.stage, memory_limit)) for pod in failed or newest[-1:]])


def _cause(failures: Sequence[tuple[ObservedPod, Failure]]) -> Failure:
    """Return the failure that the others follow from: of pods that work together, the end of one is the end of all.

    What stopped a pod from outside is the cause if Kubernetes says that it was disrupted, or its node did not admit it;
    otherwise it was the Job controller, because another one had failed.
    """

    def rank(item: tuple[ObservedPod, Failure]) -> int:
        pod, failure = item
        consequence = failure.remedy is Remedy.RETRY_FREE and not (pod.disrupted or pod.refused)
        return len(_GRAVEST_FIRST) if consequence else _GRAVEST_FIRST.index(failure.remedy)

    return min(failures, key=rank)[1]


def _indexed(job: ObservedJob, completions: int, memory_limit: str | None, told: Told) -> Ended:
    results = tuple(_results_by_index(job).values())
    heard = read_indexes(told.indexes)
    done = heard | {pod.index for pod in job.pods if pod.phase == "Succeeded"}
    failures = [
        (pod, classify(pod, job.stage, memory_limit))
        for pod in sorted(job.pods, key=_age_key)
        if pod.ended and pod.index not in (done if pod.phase == "Failed" else heard)
    ]
    at_once = _decides_at_once(job, failures, told)
    if at_once is not None:
        return at_once
    if any(result.digest != told.digest for result in results):
        return disagreement(job.stage)
    if job.finished is None and job.succeeded_indexes + job.failed_indexes < completions:
        return None
    succeeded = max(job.succeeded_indexes, len(heard))
    missing, unheard = completions - succeeded, succeeded - len(heard)
    said = _last_words(failures)
    unseen = len(done) < job.succeeded_indexes or not said
    if unseen:
        said.append(lost(job.stage, f"a pod of Job {job.name}"))
    gravest = (Remedy.OUTAGE,) if heard else (Remedy.FAIL, Remedy.OUTAGE)
    # where no index failed finally, pods that failed were followed by others that are not seen
    grave = [failure for remedy in gravest for failure in said if failure.remedy is remedy] if missing else []
    why = replace(next(iter(grave), said[-1]), unseen=unseen)
    if not heard:
        return why
    return Success(told.digest, results, missing, unheard, why if missing or unheard else None)


def _last_words(failures: Sequence[tuple[ObservedPod, Failure]]) -> list[Failure]:
    """Return the failure of the last pod of each index, in the order of the pods: others were tried again."""
    by_index: dict[int | None, Failure] = {}
    for pod, failure in failures:
        by_index.pop(pod.index, None)
        by_index[pod.index] = failure
    return list(by_index.values())


def _decides_at_once(job: ObservedJob, failures: Sequence[tuple[ObservedPod, Failure]], told: Told) -> Failure | None:
    for pod, failure in failures:
        # memory is decided at the end: one huge frame of many is a failed label, not a failed job
        if failure.remedy is Remedy.FAIL and failure.reason not in LACKS_MEMORY:
            return failure
        if failure.remedy is Remedy.BUDGET:
            # it counts what others have paid for as lacking
            return disagreement(job.stage) if _finds_others(pod, told) else failure
    if not job.deadline_exceeded:
        return None
    words = f"Job {job.name} of the {job.stage.value} stage reached its deadline"
    return Failure(Remedy.BUDGET, OperatorReason.DEADLINE, words)


def _finds_others(pod: ObservedPod, told: Told) -> bool:
    """Say whether a pod that failed has found other files or programs than those that ended well."""
    found = pod.result.digest if pod.result is not None else None
    return bool(found and told.digest) and found != told.digest


def _results_by_index(job: ObservedJob) -> dict[int, StageResult]:
    """Return one result of each index: doubled pods of an index must not be counted twice."""
    results: dict[int, StageResult] = {}
    for pod in sorted(job.pods, key=_age_key):
        result = _good_result(pod, job.stage)
        if result is not None and pod.index is not None:
            results.setdefault(pod.index, result)
    return results


def _good_result(pod: ObservedPod, stage: StageKind) -> StageResult | None:
    """Return the result of a pod that ended well; one that tells of another stage, or of no place, is none."""
    result = pod.result
    if pod.phase != "Succeeded" or result is None or not result.ok or result.digest is None:
        return None
    return result if result.outcome is None or result.outcome.stage is stage else None


def _age_key(pod: ObservedPod) -> tuple[float, str]:
    return (pod.created_at.timestamp() if pod.created_at else 0.0, pod.name)


def first_start(job: ObservedJob) -> datetime | None:
    """Return when the first container of a Job started."""
    return min((pod.started_at for pod in job.pods if pod.started_at is not None), default=None)

"""The failure policy: what a pod that ended badly means for its stage. One table, read from the top."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pfd_operator.api.conditions import OperatorReason
from pfd_operator.contract.containers import ENGINE_CONTAINERS, SMALL_CONTAINERS
from pfd_operator.contract.result import ExitCode, Reason
from pfd_operator.contract.stage import StageKind

from .observed import ObservedPod

LACKS_MEMORY = frozenset({Reason.OUT_OF_MEMORY, Reason.GPU_OUT_OF_MEMORY})


class Remedy(StrEnum):
    """What is done about a failed attempt."""

    FAIL = "Fail"
    """No retry can help: the job fails now."""
    RETRY = "Retry"
    """Try again after a wait; the failure counts against the limit."""
    RETRY_FREE = "RetryFree"
    """Try again, after a wait if it was soon lost; nobody's fault, so it does not count."""
    OUTAGE = "Outage"
    """The object store does not answer: the same for a job that has reached it before, and one that counts for one that
    never did, as its address may be wrong."""
    BUDGET = "Budget"
    """The pod, or its Job, reached its deadline, which is what the budget left it where that leaves any; or its labels
    would cost more than is left."""


@dataclass(frozen=True)
class Failure:
    """A failed attempt and what to do about it."""

    remedy: Remedy
    reason: str
    message: str
    unseen: bool = False
    """Nothing says so: what would say otherwise is not seen."""
    lacks: int | None = None
    """Labels that were not begun, since the budget does not allow them."""
    wants_memory: bool = False
    """A larger memory limit of the stage may help."""


def classify(pod: ObservedPod, stage: StageKind, memory_limit: str | None) -> Failure:
    """Say what a failed pod means.

    Parameters
    ----------
    pod
        A pod whose phase is Failed, or that succeeded without a result that can be planned by.
    stage
        The stage it belongs to.
    memory_limit
        Memory limit of the stage's main container as the user wrote it; None if there is none.
    """
    filled = _has_filled_its_storage(pod)
    # of why it was stopped, its own words know nothing
    result = None if filled else pod.result
    reported = result.reason if result is not None else None
    words = result.message if result is not None else ""
    exit_code = None if pod.container in ENGINE_CONTAINERS else pod.exit_code
    if reported is Reason.OUT_OF_MEMORY or pod.container_reason == "OOMKilled":
        # of a pod that was disrupted, nobody knows whether it lacked memory by itself; one that does ends for it soon
        remedy = Remedy.RETRY if pod.disrupted else Remedy.FAIL
        message = _out_of_memory(pod, stage, memory_limit, words)
        own = pod.container not in SMALL_CONTAINERS
        return Failure(remedy, Reason.OUT_OF_MEMORY, message, wants_memory=own and remedy is Remedy.FAIL)
    if exit_code == ExitCode.USER_ERROR:
        lost = f"the {stage.value} stage refused its input, but its message was lost: see the log of pod {pod.name}"
        lacks = pod.result.lacks if pod.result is not None else None
        remedy = Remedy.FAIL if lacks is None else Remedy.BUDGET
        return Failure(remedy, reported or Reason.INTERNAL_ERROR, words or lost, lacks=lacks)
    if pod.container_reason == "DeadlineExceeded":
        message = f"pod {pod.name} of the {stage.value} stage reached its deadline"
        return Failure(Remedy.BUDGET, OperatorReason.GPU_BUDGET, message)
    stopped = exit_code == ExitCode.PREEMPTED or reported is Reason.PREEMPTED or pod.disrupted or pod.grace_ends_at
    if (stopped or pod.refused) and not filled:
        how, why = ("stopped from outside", words) if stopped else ("not admitted by its node", pod.container_reason)
        said = "; ".join(filter(None, (why, pod.message))) or "no message"
        message = f"pod {pod.name} of the {stage.value} stage was {how}: {said}"
        return Failure(Remedy.RETRY_FREE, OperatorReason.POD_LOST, message)
    if pod.exit_code == ExitCode.OK:
        return Failure(Remedy.RETRY, Reason.INTERNAL_ERROR, _without_outcome(pod, stage))
    remedy = Remedy.OUTAGE if reported is Reason.STORE_UNAVAILABLE else Remedy.RETRY
    return Failure(remedy, reported or Reason.INTERNAL_ERROR, words or _unknown(pod, stage))


def _has_filled_its_storage(pod: ObservedPod) -> bool:
    """Say whether a pod was evicted for storage above its own limits: of all evictions, that alone is no disruption."""
    return pod.container_reason == "Evicted" and not pod.disrupted


def _without_outcome(pod: ObservedPod, stage: StageKind) -> str:
    message = f"pod {pod.name} of the {stage.value} stage ended well, but "
    if pod.result is None:
        return message + "its result was lost"
    return (
        message + "its result does not say what the stage found: its image is of an earlier version than the operator. "
        "Upgrade the images of the worker (images.worker, images.calculators), or spec.teacher.image"
    )


def lost(stage: StageKind, what: str) -> Failure:
    """Say what it means that a Job, or a pod of it, vanished before what it had to say was seen."""
    message = f"{what} of the {stage.value} stage is gone without an outcome (deleted, or its node was lost)"
    return Failure(Remedy.RETRY_FREE, OperatorReason.POD_LOST, message, unseen=True)


def disagreement(stage: StageKind) -> Failure:
    """Say what a Job means whose pods have found different contents behind the same names."""
    message = (
        f"pods of the {stage.value} stage have found different files or programs: a ConfigMap, a Secret or an image "
        "was changed while they ran, or nodes have different builds of it; all results of a stage must be by the same"
    )
    return Failure(Remedy.RETRY, OperatorReason.INPUTS_CHANGED, message)


def _out_of_memory(pod: ObservedPod, stage: StageKind, memory_limit: str | None, words: str) -> str:
    where = f"container {pod.container} of the {stage.value} stage" if pod.container else f"the {stage.value} stage"
    if pod.container in SMALL_CONTAINERS:
        limit = "it has"
        remedy = (
            "its limit comes from the chart's value stages.smallContainerResources or, without one there, from the "
            "namespace's LimitRange: have it raised"
        )
    else:
        limit = f"its limit of {memory_limit}" if memory_limit else "its node has (no limit is set)"
        remedy = f"raise spec.pods.{stage.value}.resources.limits.memory"
    said = f" It said: {words}" if words else ""
    if pod.disrupted:
        said += f" Kubernetes stopped pod {pod.name} at that time" + (f": {pod.message}" if pod.message else "")
    return f"{where} needs more memory than {limit}: {remedy}, or use smaller frames.{said}"


def _unknown(pod: ObservedPod, stage: StageKind) -> str:
    code = "without an exit code" if pod.exit_code is None else f"with exit code {pod.exit_code}"
    reason = f" ({pod.container_reason})" if pod.container_reason else ""
    container = f" container {pod.container}" if pod.container else ""
    more = f": {pod.message}" if pod.message else "; its log says more"
    return f"pod {pod.name} of the {stage.value} stage ended{container} {code}{reason}{more}"

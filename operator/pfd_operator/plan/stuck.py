"""Pods that cannot start: why, in the user's words, and for how long they are waited for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

from pfd_operator.api.conditions import ConditionType, OperatorReason, Phase
from pfd_operator.api.status import ActiveStage, ActiveState, Condition
from pfd_operator.contract.result import Reason

from .attempts import halt
from .conditions import PATIENT, ROOM, find_condition, find_true
from .draft import Draft
from .observed import ObservedJob, ObservedPod
from .recipe import position_of
from .retry import give_up

_IMAGE = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"}
    | {"RegistryUnavailable", "SignatureValidationFailed"}
)
_CONFIG = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
_SCHEDULING = frozenset({"Unschedulable", "SchedulerError", "SchedulingGated"})
NO_POD_AFTER_SECONDS = 30.0
"""A Job without a pod for this long says so: a quota or an admission rule may refuse its pods."""
NO_MORE_PODS_AFTER_SECONDS = 90.0
"""A Job all of whose pods have ended and that needs more says so: before it repeats an index, Kubernetes waits up to
40 s."""
SLOW_AFTER_SECONDS = 900.0
"""A pod that is made ready for this long says so: images of many GB take minutes."""
STORE_REACHED_AFTER_SECONDS = 300.0
"""A pod that works for this long has put an object into the store: one that cannot has given up by then."""


@dataclass(frozen=True)
class Stuck:
    """Why a stage's pods cannot start."""

    reason: OperatorReason
    message: str
    steady: bool = False
    """The message need not be kept current: the kubelet alternates between two forms of it."""


def watch_stuck(draft: Draft) -> None:
    """Show at once why a pod cannot start; after a while it is a failure, unless it may pass by itself."""
    active, job = draft.active, draft.active_job
    if draft.status.phase is not Phase.RUNNING or active is None:
        return
    if active.state is ActiveState.INTENDED:
        _show_refusal(draft, active)
    elif active.state is ActiveState.BACKOFF:
        # what was stuck is gone with its attempt
        _show_nothing(draft)
    elif job is not None:
        _watch_pods(draft, active, job)


def _watch_pods(draft: Draft, active: ActiveStage, job: ObservedJob) -> None:
    since = job.released_at or job.created_at or active.intended_at
    stuck = stuck_pods(job, since, draft.now)
    if stuck is None:
        _show_nothing(draft, job)
        draft.wake(podless_in(job, since, draft.now))
        draft.wake(min((slow_in(pod, draft.now) for pod in job.pods), default=math.inf))
        return
    shown = _show(draft, stuck)
    settings = draft.settings
    patience = settings.pending_after_seconds if stuck.reason in PATIENT else settings.stuck_after_seconds
    if patience == 0:
        return
    left = patience - (draft.now - shown.last_transition_time).total_seconds()
    draft.wake(left)
    if left <= 0:
        halt(draft)
        give_up(draft, active, stuck.reason, f"could not start for {patience} s: {shown.message}")


def _show(draft: Draft, stuck: Stuck) -> Condition:
    """Show why no pod starts; since when, is since it first waited for this."""
    old = find_condition(draft.status, ConditionType.STUCK)
    was_stuck = old is not None and old.status == "True" and old.reason == stuck.reason
    if old is not None and not was_stuck and (old.reason in PATIENT or stuck.reason in PATIENT):
        # it waits for this from now on, not since it first waited for something else
        draft.show_nothing_stuck()
    message = old.message if old is not None and was_stuck and stuck.steady else stuck.message
    if not was_stuck:
        draft.tell(stuck.reason, message, warning=True)
    return draft.condition(ConditionType.STUCK, True, stuck.reason, message)


def _show_refusal(draft: Draft, active: ActiveStage) -> None:
    refusal = draft.observed.refusal
    if not refusal:
        _show_nothing(draft)
        return
    # no failure after a while: a quota has room again when others have ended
    words = f"{position_of(active)} cannot start, and is tried again: {refusal}"
    draft.condition(ConditionType.STUCK, True, OperatorReason.JOB_REFUSED, words)


def _show_nothing(draft: Draft, job: ObservedJob | None = None) -> None:
    """Say that pods start; an outage that ended attempts before lasts until one works for long enough."""
    stuck = find_true(draft.status, ConditionType.STUCK)
    if stuck is not None and stuck.reason in ROOM and not _has_got_room(job):
        # a Job that waited until its deadline is followed by another that waits on
        return
    if stuck is None or stuck.reason != Reason.STORE_UNAVAILABLE:
        draft.show_nothing_stuck()
        return
    running = [pod for pod in job.pods if pod.started_at is not None and not pod.ended] if job is not None else []
    left = STORE_REACHED_AFTER_SECONDS - max((pod.seconds_until(draft.now) for pod in running), default=0.0)
    draft.wake(left if running else math.inf)
    if left <= 0:
        draft.show_nothing_stuck()


def _has_got_room(job: ObservedJob | None) -> bool:
    return job is not None and any(pod.scheduled_at or pod.started_at for pod in job.pods)


def stuck_pods(job: ObservedJob, since: datetime, now: datetime) -> Stuck | None:
    """Return why a Job cannot work; None if it does, or nothing keeps it from starting.

    Of pods that work together each is needed; of others it is enough that one runs.

    Parameters
    ----------
    since
        When the Job began to be allowed to have pods.
    """
    if job.finished is not None or job.deleting or job.suspended:
        return None
    if podless_in(job, since, now) <= 0:
        which = "no pod any more, and needs one" if job.pods else "no pod yet"
        return Stuck(
            OperatorReason.POD_PENDING,
            f"Job {job.name} has {which}: `kubectl describe job {job.name}` says whether a quota or an admission "
            f"rule refuses it",
        )
    if job.nodes == 1 and any(pod.phase == "Running" and pod.waiting_reason is None for pod in job.pods):
        return None
    waiting = [_explain(pod) for pod in job.pods if pod.phase in ("Pending", "Running") and pod.waiting_reason]
    # what does not pass by itself says more than what may, whichever pod it is of
    return min(waiting, key=lambda stuck: stuck.reason in PATIENT) if waiting else _slow(job, now)


def _slow(job: ObservedJob, now: datetime) -> Stuck | None:
    slow = next((pod for pod in job.pods if slow_in(pod, now) <= 0), None)
    if slow is None:
        return None
    words = f"pod {slow.name} is not ready to run yet: `kubectl describe pod {slow.name}` says what it waits for"
    return Stuck(OperatorReason.POD_PENDING, words)


def podless_in(job: ObservedJob, since: datetime, now: datetime) -> float:
    """Return in how many seconds a Job is said to lack pods; infinite if one has not ended, or it is to have none.

    Parameters
    ----------
    since
        When the Job began to be allowed to have pods.
    """
    if job.suspended or job.deleting or not all(pod.ended for pod in job.pods):
        return math.inf
    ends = [pod.finished_at for pod in job.pods if pod.finished_at is not None]
    patience = NO_MORE_PODS_AFTER_SECONDS if job.pods else NO_POD_AFTER_SECONDS
    return patience - (now - max([since, *ends])).total_seconds()


def slow_in(pod: ObservedPod, now: datetime) -> float:
    """Return in how many seconds a pod is said to be slow to get ready; infinite if it is ready, or has ended."""
    # a pod that waited for room is not slow; one whose first container has started only looks pending
    since = pod.scheduled_at or pod.created_at
    if pod.phase != "Pending" or pod.waiting_reason is not None or pod.started_at is not None or since is None:
        return math.inf
    return SLOW_AFTER_SECONDS - (now - since).total_seconds()


def _explain(pod: ObservedPod) -> Stuck:
    reason, said = pod.waiting_reason or "", pod.waiting_message
    if reason in _IMAGE:
        hint = "check the image's name, and that the node may pull it"
        return Stuck(OperatorReason.IMAGE_PULL, f"pod {pod.name}: {reason}: {said} - {hint}", steady=True)
    if reason in _SCHEDULING:
        hint = "check spec.pods (resources, nodeSelector, tolerations) against the nodes there are"
        return Stuck(OperatorReason.UNSCHEDULABLE, f"pod {pod.name}: {said} - {hint}")
    if reason in _CONFIG:
        return _config_error(pod, said)
    return Stuck(OperatorReason.POD_PENDING, f"pod {pod.name} waits: {reason}: {said}")


def _config_error(pod: ObservedPod, said: str) -> Stuck:
    lowered = said.lower()
    if "secret" in lowered:
        hint = "create it, or correct spec.artifacts.s3.credentialsSecret"
        return Stuck(OperatorReason.SECRET_MISSING, f"pod {pod.name}: {said} - {hint}", steady=True)
    if "runasnonroot" in lowered or "run as root" in lowered or "non-numeric user" in lowered:
        hint = "use an image that runs as any user; root is not allowed"
        return Stuck(OperatorReason.NON_ROOT, f"pod {pod.name}: {said} - {hint}", steady=True)
    return Stuck(OperatorReason.CONFIG_ERROR, f"pod {pod.name}: {said}", steady=True)

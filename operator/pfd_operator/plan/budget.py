"""What a job may still cost: GPU time, wall time and labels."""

from __future__ import annotations

import math
from datetime import datetime

from pfd_operator.api.conditions import OperatorReason, Phase
from pfd_operator.api.job import JobSpec
from pfd_operator.api.pods import gpus_in
from pfd_operator.api.status import JobStatus
from pfd_operator.contract.stage import StageKind

from .observed import ObservedJob
from .recipe import Ending
from .types import Settings

DEADLINE_TOLERANCE_SECONDS = 60
"""A pod's deadline counts from its start, ours from its container's: so much apart they mean the same. So an attempt
that would leave each pod no more than this is none."""
UNWATCHED_AFTER_SECONDS = 60
"""A Job that reached its deadline is looked at within seconds, or else no operator ran."""
LONGEST_DEADLINE_SECONDS = 2**31 - 1
"""Kubernetes takes no longer one of a pod."""


def gpus_per_pod(spec: JobSpec, stage: StageKind, settings: Settings) -> int:
    """Return how many GPUs a pod of a stage asks for."""
    overrides = spec.pods.of(stage)
    named = gpus_in(overrides.resources.limits, settings.stage_pods.gpu_resources)
    return named + sum(claim.gpus for claim in overrides.resource_claims)


def gpus_of(spec: JobSpec, job: ObservedJob, settings: Settings) -> int:
    """Return how many GPUs a pod of a Job has: by the Job itself, as spec.pods may have changed since it was made."""
    return gpus_per_pod(spec, job.stage, settings) if job.gpus is None else job.gpus


def container_seconds(job: ObservedJob, now: datetime) -> float:
    """Return the time of a Job's pods so far, from container start to end, in s.

    A Job that reaches its deadline deletes the pods that still run. Where nobody saw them go, each is taken to have run
    for as long as the Job might have pods: never less than it did.
    """
    seen = job.gone_pods_seconds + sum(pod.seconds_until(now) for pod in job.pods)
    begun, ended = job.released_at, job.finished_at
    if not job.deadline_exceeded or begun is None or ended is None or not all(pod.ended for pod in job.pods):
        return seen
    if (now - ended).total_seconds() <= UNWATCHED_AFTER_SECONDS:
        return seen
    whole = max(0.0, (ended - begun).total_seconds())
    undone = max(0, (job.completions or 1) - job.succeeded_indexes - job.failed_indexes)
    return max(seen, min(seen + min(job.parallelism, undone) * whole, job.parallelism * whole))


def gpu_seconds(spec: JobSpec, job: ObservedJob, settings: Settings, now: datetime) -> float:
    """Return the GPU time of a Job's pods so far, in s."""
    return gpus_of(spec, job, settings) * container_seconds(job, now)


def elapsed_seconds(status: JobStatus, now: datetime) -> float:
    """Return the wall time since the first start, without time suspended or in a queue, in s."""
    if status.started_at is None:
        return 0.0
    elapsed = (now - status.started_at).total_seconds() - status.suspended_seconds
    if status.suspended_at is not None:
        elapsed -= (now - status.suspended_at).total_seconds()
    return max(0.0, elapsed)


def deadline_left(spec: JobSpec, status: JobStatus, now: datetime) -> float:
    """Return the wall time left, in s; infinite without a deadline."""
    hours = spec.budget.deadline_hours
    return math.inf if hours is None else hours * 3600 - elapsed_seconds(status, now)


def gpu_seconds_left(spec: JobSpec, status: JobStatus, running: float = 0.0) -> float:
    """Return the GPU time left, in s; infinite without a limit.

    Parameters
    ----------
    running
        GPU time of the running attempt, which the status does not hold yet.
    """
    hours = spec.budget.gpu_hours
    return math.inf if hours is None else hours * 3600 - status.gpu_seconds - running


def time_left(spec: JobSpec, status: JobStatus, now: datetime) -> float:
    """Return what is left of the scarcer of wall time and GPU time, in s."""
    return min(deadline_left(spec, status, now), gpu_seconds_left(spec, status))


def labels_left(spec: JobSpec, status: JobStatus, iteration: int | None = None) -> int:
    """Return how many labels may still be paid for.

    Parameters
    ----------
    iteration
        Of one that is done again, what was left when it first began: those it asked for then are in the store.
    """
    at_first, paid = status.paid_when_first_begun, status.labels.paid
    if iteration is not None and at_first and iteration <= max(at_first):
        # the hold-out does not go by what is left
        labelling = status.labelled.get(iteration) if iteration else None
        if labelling is not None and labelling.left is not None:
            # by the budget of then: with another one it would select other frames, and leave what it has paid for
            return labelling.left
        # one too old to be on record had much left
        paid = at_first.get(iteration, 0)
    return max(0, spec.budget.max_labels - paid)


def time_exhausted(spec: JobSpec, status: JobStatus, now: datetime, running_gpu_seconds: float = 0.0) -> Ending | None:
    """Say whether the deadline or the GPU time is used up."""
    if deadline_left(spec, status, now) <= 0:
        return Ending(
            Phase.BUDGET_EXHAUSTED,
            OperatorReason.DEADLINE,
            f"{spec.budget.deadline_hours:g} h of wall time (spec.budget.deadlineHours) are over; raise it to go on",
        )
    if gpu_seconds_left(spec, status, running_gpu_seconds) <= 0:
        return Ending(
            Phase.BUDGET_EXHAUSTED,
            OperatorReason.GPU_BUDGET,
            f"{spec.budget.gpu_hours:g} h of GPU time (spec.budget.gpuHours) are used up; raise it to go on",
        )
    return None


def deadline_seconds(spec: JobSpec, status: JobStatus, gpus: int, now: datetime) -> int | None:
    """Return how long a stage's pods may run, so that the budget holds with no operator alive, in s; None: for ever.

    For so long may each of them run, and also all of them, one after another.

    Parameters
    ----------
    gpus
        Of all its pods at a time.
    """
    left = deadline_left(spec, status, now)
    if gpus:
        left = min(left, gpu_seconds_left(spec, status) / gpus)
    return None if math.isinf(left) else min(LONGEST_DEADLINE_SECONDS, max(1, math.ceil(left)))

"""Pods that cannot start: what their waiting reasons mean, in the user's words."""

from __future__ import annotations

from dataclasses import dataclass

from pfd_operator.api.conditions import OperatorReason

from .types import ObservedJob, ObservedPod

_IMAGE = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"}
    | {"RegistryUnavailable", "SignatureValidationFailed"}
)
_CONFIG = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
_SCHEDULING = frozenset({"Unschedulable", "SchedulerError", "SchedulingGated"})
NO_POD_AFTER_SECONDS = 30.0
"""A Job without a pod for this long says so: a quota or an admission rule may refuse its pods."""


@dataclass(frozen=True)
class Stuck:
    """Why a stage's pods cannot start."""

    reason: OperatorReason
    message: str
    steady: bool = False
    """The message need not be kept current: the kubelet alternates between two forms of it."""


def stuck_pods(job: ObservedJob, job_age_seconds: float) -> Stuck | None:
    """Return why nothing of a Job runs; None if something does, or nothing keeps it from starting."""
    if job.finished is not None or job.deleting or job.suspended:
        return None
    if not job.pods:
        if job_age_seconds < NO_POD_AFTER_SECONDS:
            return None
        return Stuck(
            OperatorReason.POD_PENDING,
            f"Job {job.name} has no pod yet: `kubectl describe job {job.name}` says whether a quota or an admission "
            f"rule refuses it",
        )
    if any(pod.phase == "Running" and pod.waiting_reason is None for pod in job.pods):
        return None
    waiting = next((pod for pod in job.pods if pod.phase in ("Pending", "Running") and pod.waiting_reason), None)
    return None if waiting is None else _explain(waiting)


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

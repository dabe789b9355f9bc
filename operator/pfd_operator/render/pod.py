"""The pod of a stage: restricted security, scratch space, the user's scheduling."""

from __future__ import annotations

from typing import Any

from pfd_operator.api.pods import PodOverrides, ResourceClaim
from pfd_operator.plan.names import service_name
from pfd_operator.plan.types import PlannedJob, Settings

from .containers import containers
from .volumes import volumes

USER_ID = 65532
_JOB_LABEL = "batch.kubernetes.io/job-name"
"""Given to pods by the Job controller."""


def pod_spec(job: PlannedJob, settings: Settings, progress_token: str) -> dict[str, Any]:
    """Return the pod spec of a stage; it passes the restricted Pod Security Standard."""
    overrides = job.owner.spec.pods.of(job.spec.stage)
    init_containers, main_containers = containers(job, settings, overrides, progress_token)
    spec: dict[str, Any] = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": overrides.termination_grace_period_seconds,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER_ID,
            "runAsGroup": USER_ID,
            "fsGroup": USER_ID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": main_containers,
        "volumes": volumes(job, overrides.resources),
        **_scheduling(overrides, job.name),
    }
    if settings.stage_pods.service_account_name is not None:
        spec["serviceAccountName"] = settings.stage_pods.service_account_name
    if job.together:
        spec["subdomain"] = service_name(job.owner)
    if init_containers:
        spec["initContainers"] = init_containers
    if job.active_deadline_seconds is not None:
        # on the pod, counted from its start, so that the budget holds while no operator is alive
        spec["activeDeadlineSeconds"] = job.active_deadline_seconds
    return spec


def _scheduling(overrides: PodOverrides, job_name: str) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "nodeSelector": dict(overrides.node_selector),
        "tolerations": list(overrides.tolerations),
        "affinity": overrides.affinity,
        "topologySpreadConstraints": [
            {**spread, "labelSelector": {"matchLabels": {_JOB_LABEL: job_name}}}
            for spread in overrides.topology_spread_constraints
        ],
        "priorityClassName": overrides.priority_class_name,
        "runtimeClassName": overrides.runtime_class_name,
        "resourceClaims": [_claim(claim) for claim in overrides.resource_claims],
    }
    return {name: value for name, value in fields.items() if value}


def _claim(claim: ResourceClaim) -> dict[str, str]:
    key, value = claim.chosen()
    return {"name": claim.name, key: value}

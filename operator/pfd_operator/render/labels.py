"""Labels and annotations of everything the operator creates: how it finds its own again."""

from __future__ import annotations

from typing import Any

from pfd_operator.api.job import GROUP, KUEUE, VERSION, Queue
from pfd_operator.contract.digest import digest_of
from pfd_operator.plan.types import Resource

JOB_LABEL = f"{GROUP}/job"
KIND_LABEL = f"{GROUP}/kind"
UID_LABEL = f"{GROUP}/uid"
ITERATION_LABEL = f"{GROUP}/iteration"
STAGE_LABEL = f"{GROUP}/stage"
ATTEMPT_LABEL = f"{GROUP}/attempt"
TOKEN_ANNOTATION = f"{GROUP}/progress-token"
GPUS_ANNOTATION = f"{GROUP}/gpus"
"""Of a pod: how many GPUs it counts for. In a Job's template, where it stays as it was made."""

LABEL_VALUE_MAX = 63


def label_value(name: str) -> str:
    """Return a name as a label value: names may have 253 characters, label values 63."""
    if len(name) <= LABEL_VALUE_MAX:
        return name
    return f"{name[: LABEL_VALUE_MAX - 9].rstrip('-.')}-{digest_of(name)[:8]}"


def owner_labels(owner: Resource) -> dict[str, str]:
    """Return the labels shared by everything that belongs to a custom resource."""
    return {
        "app.kubernetes.io/managed-by": "pfd-operator",
        JOB_LABEL: label_value(owner.name),
        KIND_LABEL: owner.kind,
        UID_LABEL: owner.uid,
    }


def queue_labels(queue: Queue | None) -> dict[str, str]:
    """Return the labels by which Kueue knows a Job (kueue.sigs.k8s.io/docs/tasks/run/jobs)."""
    if queue is None:
        return {}
    priority = {} if queue.priority_class is None else {f"{KUEUE}/priority-class": queue.priority_class}
    return {f"{KUEUE}/queue-name": queue.name, **priority}


def owner_reference(owner: Resource) -> dict[str, Any]:
    """Return the reference by which the garbage collector deletes a child with its custom resource.

    The resource does not wait for its children (`blockOwnerDeletion`): nothing rests on that, and where the admission
    plugin OwnerReferencesPermissionEnforcement is on, as on OpenShift, it takes rights on the resource's finalizers.
    """
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": owner.kind,
        "name": owner.name,
        "uid": owner.uid,
        "controller": True,
    }

"""The Service by which pods that train together find the first of them."""

from __future__ import annotations

from typing import Any

from pfd_operator.contract.stage import StageKind
from pfd_operator.plan.types import Resource

from .labels import STAGE_LABEL, UID_LABEL, owner_labels, owner_reference


def service_manifest(name: str, owner: Resource) -> dict[str, Any]:
    """Return a headless Service owned by a custom resource: names of its training pods, and no address of its own."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            "namespace": owner.namespace,
            "labels": owner_labels(owner),
            "ownerReferences": [owner_reference(owner)],
        },
        "spec": {
            "clusterIP": "None",
            # they look for one another before they train, and no probe ever makes them ready
            "publishNotReadyAddresses": True,
            "selector": {UID_LABEL: owner.uid, STAGE_LABEL: StageKind.TRAIN.value},
        },
    }

"""What else a custom resource owns: ConfigMaps of inline structures, and the Service of pods that train together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pfd_operator.contract.stage import StageKind
from pfd_operator.plan.types import Resource

from .labels import STAGE_LABEL, UID_LABEL, owner_labels, owner_reference


def config_map_manifest(name: str, owner: Resource, data: Mapping[str, str]) -> dict[str, Any]:
    """Return an immutable ConfigMap: structures travel once, and not in every Job."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _metadata(name, owner),
        "immutable": True,
        "data": dict(data),
    }


def service_manifest(name: str, owner: Resource) -> dict[str, Any]:
    """Return a headless Service: names of the training pods, and no address of its own."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(name, owner),
        "spec": {
            "clusterIP": "None",
            # they look for one another before they train, and no probe ever makes them ready
            "publishNotReadyAddresses": True,
            "selector": {UID_LABEL: owner.uid, STAGE_LABEL: StageKind.TRAIN.value},
        },
    }


def _metadata(name: str, owner: Resource) -> dict[str, Any]:
    return {
        "name": name,
        "namespace": owner.namespace,
        "labels": owner_labels(owner),
        "ownerReferences": [owner_reference(owner)],
    }

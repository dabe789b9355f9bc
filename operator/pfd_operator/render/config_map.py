"""ConfigMaps that hold inline structures, so that they travel once and not in every Job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pfd_operator.plan.types import Resource

from .labels import owner_labels, owner_reference


def config_map_manifest(name: str, owner: Resource, data: Mapping[str, str]) -> dict[str, Any]:
    """Return an immutable ConfigMap owned by a custom resource."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": name,
            "namespace": owner.namespace,
            "labels": owner_labels(owner),
            "ownerReferences": [owner_reference(owner)],
        },
        "immutable": True,
        "data": dict(data),
    }

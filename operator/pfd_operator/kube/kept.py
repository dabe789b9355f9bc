"""What is kept of a custom resource: nothing that nobody reads, and no spec that would crowd out all the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_core import to_json

LARGEST_SPEC_BYTES = 512 * 1024
"""As JSON. The API server takes three times as much, and a definition cannot bound what is free of a schema."""
MOST_LEVELS = 64
"""Of objects and lists in one another: half of what is read."""
UNFIT = (
    f"spec: is larger than {LARGEST_SPEC_BYTES // 1024} KiB, or has more than {MOST_LEVELS} levels of objects and "
    "lists in one another, so the operator does not keep it. Put structures into a ConfigMap or the object store "
    "(structures.configMap, structures.uri), and leave out of free objects (affinity, extra, parameters, settings, "
    "template, model) what is not needed"
)
"""Why a resource is kept without its spec, and what to do."""
_UNREAD = ("annotations", "managedFields")
"""Of the metadata; of a job that was applied the annotations have the whole spec once more."""


def kept(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is kept of a resource; one whose spec is not fit to be kept has none."""
    metadata = {name: value for name, value in body["metadata"].items() if name not in _UNREAD}
    fields = {**body, "metadata": metadata}
    spec = fields.get("spec")
    if _is_deeper(spec, MOST_LEVELS) or len(to_json(spec)) > LARGEST_SPEC_BYTES:
        del fields["spec"]
    return fields


def _is_deeper(value: Any, levels: int) -> bool:
    level = [value]
    for _ in range(levels):
        level = [
            inner
            for each in level
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return False
    return True

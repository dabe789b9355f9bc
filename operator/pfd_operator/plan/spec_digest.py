"""The digest of what must not change once a job has started."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from pfd_operator.api.job import MUTABLE_FIELDS, JobSpec, has_exceptions
from pfd_operator.contract.digest import digest_of

_MUTABLE_AT_FIRST = frozenset(field for field in MUTABLE_FIELDS if "." not in field)


def spec_digest(spec: JobSpec, mutable: Collection[str] = MUTABLE_FIELDS) -> str:
    """Return the sha256 of a spec without its mutable fields.

    Defaults are left out: an operator that brings new fields must not see a change in old jobs.
    """
    content = spec.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude_none=True)
    return digest_of(_without(mutable, content))


def former_spec_digest(spec: JobSpec) -> str:
    """Return the digest by an operator that knew no field that may change within one that may not.

    Who changes a budget and upgrades the operator at once has not changed the job.
    """
    return spec_digest(spec, _MUTABLE_AT_FIRST)


def _without(mutable: Collection[str], content: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    kept = {}
    for name, value in content.items():
        path = f"{above}{name}"
        if path in mutable:
            continue
        if not has_exceptions(path):
            kept[name] = value
        elif below := _without(mutable, value, f"{path}."):
            # none: of it was given only what may change, as if all of it had its default
            kept[name] = below
    return kept

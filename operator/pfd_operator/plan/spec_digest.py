"""The digest of what must not change once a job has started."""

from __future__ import annotations

from pfd_operator.api.job import MUTABLE_FIELDS, JobSpec
from pfd_operator.contract.digest import digest_of


def spec_digest(spec: JobSpec) -> str:
    """Return the sha256 of a spec without its mutable fields.

    Defaults are left out: an operator that brings new fields must not see a change in old jobs.
    """
    return digest_of(
        spec.model_dump(
            mode="json", by_alias=True, exclude_defaults=True, exclude_none=True, exclude=set(MUTABLE_FIELDS)
        )
    )

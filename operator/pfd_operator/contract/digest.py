"""Content digests: the one way JSON is made canonical, so that equal content has an equal name everywhere."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any

from pydantic import Field

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""A sha256, as `digest_of` gives it."""


def canonical_json(value: Any) -> str:
    """Return JSON with sorted keys and no spaces; floats keep their shortest exact form.

    Raises
    ------
    ValueError
        If a number is NaN or infinite: such a value has no equal and would never be found again.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True)


def digest_of(value: Any) -> str:
    """Return the sha256 (64 hexadecimal digits) of a JSON value in canonical form."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def seed_of(seed: int, *scope: str | int) -> int:
    """Derive a 32-bit seed for one use from the seed of the spec, so that no two uses share a random stream."""
    return int(digest_of([seed, *scope])[:8], 16)

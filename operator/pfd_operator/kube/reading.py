"""Objects as the API server shows them → what is kept of them, whatever their writers thought of."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")


def kept_of(parse: Callable[[Mapping[str, Any]], T | None], item: Mapping[str, Any], path: str) -> T | None:
    """Return what is kept of an object; None if it is not ours, which one that cannot be read is not either.

    Parameters
    ----------
    path
        The collection that it is of, for the log.
    """
    try:
        return parse(item)
    except Exception:
        # whoever may create pods somewhere can write what nobody thought of: it must not stop all jobs
        log.exception("%s of %s cannot be read and is ignored", "/".join(name_of(item)), path)
        return None


def name_of(item: Mapping[str, Any]) -> tuple[str, str]:
    """Return the namespace and name of an object."""
    return item["metadata"]["namespace"], item["metadata"]["name"]

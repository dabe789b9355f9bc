"""Several requests at a time: each waits for its answer, not for bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

REQUESTS_AT_ONCE = 10
"""As many connections as boto3 keeps open. One request after another, the results of a stage of thousands of indexes
would take minutes."""

_Asked = TypeVar("_Asked")
_Answer = TypeVar("_Answer")


def at_once(ask: Callable[[_Asked], _Answer], of: Iterable[_Asked]) -> list[_Answer]:
    """Return the answers in the order of the questions; the first failure in that order is raised."""
    with ThreadPoolExecutor(REQUESTS_AT_ONCE) as threads:
        return list(threads.map(ask, of))

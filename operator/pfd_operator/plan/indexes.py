"""Sets of indexes, written as Kubernetes does: 0,2-5."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby


def read_indexes(text: str) -> frozenset[int]:
    """Return the indexes of a list such as 0,2-5."""
    indexes: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        indexes.update(range(int(first), int(last or first) + 1))
    return frozenset(indexes)


def write_indexes(indexes: Iterable[int]) -> str:
    """Return indexes as such a list: it is short while they follow one another."""
    # those that do are all as much larger than their places
    runs = groupby(enumerate(sorted(indexes)), key=lambda item: item[1] - item[0])
    ends = [(run[0][1], run[-1][1]) for run in (list(items) for _, items in runs)]
    return ",".join(f"{first}" if first == last else f"{first}-{last}" for first, last in ends)

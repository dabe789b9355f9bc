"""Sets of indexes, as Kubernetes writes them."""

from __future__ import annotations

import pytest

from pfd_operator.plan.indexes import read_indexes, write_indexes


@pytest.mark.parametrize(
    ("text", "indexes"),
    [
        ("", set()),
        ("0", {0}),
        ("0,2-5", {0, 2, 3, 4, 5}),
        ("0-1,3,7-9", {0, 1, 3, 7, 8, 9}),
        ("0-9999", set(range(10000))),
    ],
)
def test_indexes_that_follow_one_another_are_written_as_two(text: str, indexes: set[int]) -> None:
    assert read_indexes(text) == indexes
    assert write_indexes(indexes) == text

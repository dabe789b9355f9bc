"""A merge patch turns the old value into the new one, as RFC 7386 says the server applies it."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pfd_operator.kube.merge_patch import merge_patch
from tests.merged import merged

leaves = st.booleans() | st.integers() | st.text(max_size=5) | st.lists(st.integers(), max_size=3)
objects = st.recursive(
    st.dictionaries(st.sampled_from("abcd"), leaves, max_size=4),
    lambda inner: st.dictionaries(st.sampled_from("abcd"), leaves | inner, max_size=4),
    max_leaves=12,
)


@given(objects, objects)
def test_patch_leads_from_old_to_new(old: dict[str, Any], new: dict[str, Any]) -> None:
    assert merged(old, merge_patch(old, new)) == new


@given(objects)
def test_nothing_is_sent_for_nothing(value: dict[str, Any]) -> None:
    assert merge_patch(value, value) == {}

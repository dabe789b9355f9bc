"""Names of children are as long as Kubernetes takes them, whatever a job is called."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pfd_operator.plan.names import OBJECT_NAME_MAX, structures_name
from tests.unit.operator.plan.plan_samples import resource


@pytest.mark.parametrize("name", ["si", "silicon.with.dots", "a" * 237])
def test_structures_are_kept_under_the_name_of_their_job(name: str) -> None:
    found = structures_name(replace(resource(), name=name))
    assert found == f"{name}-5f0c-structures"
    assert len(found) <= OBJECT_NAME_MAX


@pytest.mark.parametrize("name", ["a" * 238, "a" * 253, "a." * 126 + "b", "a" * 230 + "-" * 8 + "b"])
def test_a_long_name_is_cut_and_stays_its_own(name: str) -> None:
    owner = replace(resource(), name=name)
    found = structures_name(owner)
    assert len(found) <= OBJECT_NAME_MAX
    assert found.endswith("-5f0c-structures")
    assert found != structures_name(replace(owner, name=name[:-1] + "c"))

"""What is held of a resource is what is read of it, and not much of any one: all share the operator's memory."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pfd_operator.kube.kept import LARGEST_SPEC_BYTES, MOST_LEVELS, UNFIT, kept
from pfd_operator.kube.resources import Key, Snapshot, SpecInvalid
from pfd_operator.kube.store import ResourceStore
from tests.unit.operator.resource_samples import SPEC

ENDED = {"phase": "Cancelled", "finishedAt": "2026-01-01T00:00:00Z"}


def body(spec: dict[str, Any], status: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    known = {"namespace": "lab", "name": "silicon", "uid": "u", "resourceVersion": "5"}
    return {"kind": "FineTuneJob", "metadata": known | metadata, "spec": spec, "status": status}


def with_affinity(affinity: Any) -> dict[str, Any]:
    return SPEC | {"pods": {"train": {"affinity": {"free": affinity}}}}


def nested(levels: int) -> Any:
    value: Any = 0
    for number in range(levels):
        value = [value] if number % 2 else {"a": value}
    return value


def held(spec: dict[str, Any], status: dict[str, Any], **metadata: Any) -> Snapshot:
    store = ResourceStore()
    store.keep(body(spec, status, **metadata))
    snapshot = store.get(Key("FineTuneJob", "lab", "silicon"))
    assert snapshot is not None
    return snapshot


@pytest.mark.parametrize("status", [{}, ENDED], ids=["waiting", "ended"])
@pytest.mark.parametrize(
    "affinity",
    ["x" * LARGEST_SPEC_BYTES, [[]] * (LARGEST_SPEC_BYTES // 3), nested(MOST_LEVELS), nested(9000)],
    ids=["long text", "long list", "deep", "very deep"],
)
def test_a_spec_that_would_crowd_out_others_is_not_held_and_refused(affinity: Any, status: dict[str, Any]) -> None:
    snapshot = held(with_affinity(affinity), status)
    assert len(json.dumps(snapshot.body)) < 1000
    assert snapshot.raw_status == status
    with pytest.raises(SpecInvalid) as refused:
        snapshot.resource()
    assert str(refused.value) == UNFIT


@pytest.mark.parametrize("affinity", ["x" * (LARGEST_SPEC_BYTES - 4000), nested(MOST_LEVELS - 5)], ids=["long", "deep"])
def test_what_is_not_too_much_is_held_whole(affinity: Any) -> None:
    spec = with_affinity(affinity)
    assert held(spec, ENDED).body["spec"] == spec
    assert held(spec, {}).resource().spec.pods.train.affinity == {"free": affinity}


def test_the_copy_of_the_spec_that_kubectl_apply_leaves_is_not_held() -> None:
    copy = {"kubectl.kubernetes.io/last-applied-configuration": json.dumps(SPEC)}
    whole = body(SPEC, {}, annotations=copy, managedFields=[{"manager": "kubectl"}])
    assert kept(whole) == body(SPEC, {})
    assert whole["metadata"]["annotations"] == copy


def test_a_job_with_more_inline_than_new_ones_may_have_is_worked_on() -> None:
    given = [{"name": f"s{number}", "structures": {"inline": "x" * 65536}} for number in range(5)]
    assert len(held(SPEC | {"systems": given}, {}).resource().spec.systems) == len(given)

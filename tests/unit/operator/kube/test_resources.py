"""Specs are refused in the user's words; the store never goes back in time."""

from __future__ import annotations

from typing import Any, cast

import pytest

from pfd_operator.contract.stage import StageKind
from pfd_operator.contract.systems import System
from pfd_operator.kube.api import KubeApi
from pfd_operator.kube.figures import figures_of
from pfd_operator.kube.owner import Owner
from pfd_operator.kube.resources import Key, Snapshot, SpecInvalid
from pfd_operator.kube.store import ResourceStore
from pfd_operator.kube.teachers import teacher_of
from pfd_operator.plan.budget import gpus_per_pod
from tests.unit.operator.plan.plan_samples import SETTINGS
from tests.unit.operator.resource_samples import SPEC


def body(version: int, uid: str = "u", **fields: Any) -> dict[str, Any]:
    metadata = {
        "namespace": "lab",
        "name": "silicon",
        "uid": uid,
        "resourceVersion": str(version),
        "managedFields": [1],
    }
    return {"kind": "FineTuneJob", "metadata": metadata, **fields}


def test_every_wrong_field_is_named() -> None:
    spec = {
        "model": {"uri": "s3://pfd/m.pt", "pretrained": "DPA"},
        "systems": [{"name": "a", "structures": {"uri": "nowhere"}}],
    }
    with pytest.raises(SpecInvalid) as refused:
        Snapshot(body(1, spec=spec)).resource()
    message = str(refused.value)
    assert "spec.model: exactly one of pretrained, uri is needed, 2 are given" in message
    assert "spec.systems[0].structures.uri" in message
    assert "spec.labeling: Field required" in message


@pytest.mark.parametrize("gpus", ["1k", "1000m", "one", "1.5", "-1", -1, "٣", "", "9" * 60])
def test_gpus_that_cannot_be_counted_are_refused_by_their_path(gpus: str | int) -> None:
    spec = SPEC | {"pods": {"train": {"resources": {"limits": {"cpu": "500m", "nvidia.com/gpu": gpus}}}}}
    with pytest.raises(
        SpecInvalid, match=r"^spec\.pods\.train\.resources\.limits: nvidia\.com/gpu is .*: give a whole"
    ):
        Snapshot(body(1, spec=spec)).resource()


@pytest.mark.parametrize(
    ("pods", "words"),
    [
        ({"resources": {"limits": {"memory": "2GB"}}}, r"resources\.limits: memory: '2GB' is no quantity"),
        ({"resources": {"requests": {"cpu": "two"}}}, r"resources\.requests: cpu: 'two' is no quantity"),
        ({"tolerations": [{"foo": "bar"}]}, r"tolerations\[0\]\.foo: "),
        ({"tolerations": [{"effect": "NoSchedule"}]}, r"tolerations\[0\]: without a key the operator must be Exists"),
        (
            {"tolerations": [{"key": "a", "operator": "Exists", "value": "b"}]},
            r"tolerations\[0\]: .* there is no value",
        ),
        ({"tolerations": [{"key": "a", "tolerationSeconds": 9}]}, r"tolerations\[0\]: tolerationSeconds go with"),
    ],
)
def test_what_the_api_server_would_refuse_of_pods_is_refused_at_once(pods: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecInvalid, match=rf"^spec\.pods\.train\.{words}"):
        Snapshot(body(1, spec=SPEC | {"pods": {"train": pods}})).resource()


def test_quantities_and_tolerations_are_kept_as_written() -> None:
    resources = {"requests": {"cpu": "250m", "memory": "1.5Gi"}, "limits": {"cpu": 2, "memory": "2e9"}}
    tolerations: list[dict[str, Any]] = [
        {"key": "gpu", "operator": "Exists", "effect": "NoSchedule"},
        {"operator": "Exists"},
    ]
    tolerations += [{"key": "a", "operator": "", "value": "b", "effect": None}]
    pods = {"train": {"resources": resources, "tolerations": tolerations}}
    train = Snapshot(body(1, spec=SPEC | {"pods": pods})).resource().spec.pods.train
    assert train.resources.to_json() == resources
    assert train.tolerations == tolerations


@pytest.mark.parametrize("gpus", [0, 1, "0", "8"])
def test_plain_numbers_of_gpus_are_taken(gpus: str | int) -> None:
    spec = SPEC | {"pods": {"train": {"resources": {"limits": {"amd.com/gpu": gpus}}}}}
    assert gpus_per_pod(Snapshot(body(1, spec=spec)).resource().spec, StageKind.TRAIN, SETTINGS) == int(gpus)


def test_an_older_event_does_not_undo_a_write() -> None:
    store = ResourceStore()
    store.keep(body(5, status={"phase": "Running"}))
    store.keep(body(4, status={"phase": "Pending"}))
    snapshot = store.get(Key("FineTuneJob", "lab", "silicon"))
    assert snapshot is not None
    assert snapshot.raw_status == {"phase": "Running"}
    assert "managedFields" not in snapshot.body["metadata"]


def test_what_has_ended_is_held_whole_and_can_begin_again() -> None:
    store, key = ResourceStore(), Key("FineTuneJob", "lab", "silicon")
    ended = body(5, status={"phase": "Cancelled", "finishedAt": "2026-01-01T00:00:00Z", "message": "3 Å, °, \\"})
    store.keep(ended)
    store.keep(body(4, status={"phase": "Running"}))
    held = store.get(key)
    assert held is not None
    assert (held.raw_status, held.version, held.ended) == (ended["status"], 5, True)
    assert list(store.figures()) == [figures_of(held)]
    store.keep(body(6, status={"phase": "Running"}))
    again = store.get(key)
    assert again is not None
    assert not again.ended
    store.remove(key, "u")
    assert store.key_of(Owner("lab", "u")) is None


def test_students_are_those_that_have_not_started() -> None:
    store, teacher = ResourceStore(), Key("FineTuneJob", "lab", "teacher")
    student = body(5, spec={"teacher": {"fineTuneJob": {"name": "teacher"}}}) | {"kind": "DistillJob"}
    store.keep(student)
    assert store.students_of(teacher) == [Key("DistillJob", "lab", "silicon")]
    store.keep(body(6, spec=student["spec"], status={"startedAt": "2026-01-01T00:00:00Z"}) | {"kind": "DistillJob"})
    assert store.students_of(teacher) == []
    store.keep(body(7, spec=student["spec"], status={}) | {"kind": "DistillJob"})
    assert len(store.students_of(teacher)) == 1
    store.remove(Key("DistillJob", "lab", "silicon"), "u")
    assert store.students_of(teacher) == []


def test_a_student_that_is_gone_or_has_another_teacher_is_forgotten() -> None:
    store, key = ResourceStore(), Key("DistillJob", "lab", "silicon")
    one, other = (Key("FineTuneJob", "lab", name) for name in ("one", "other"))
    for version, teacher in enumerate((one, other)):
        spec = {"teacher": {"fineTuneJob": {"name": teacher.name}}}
        store.keep(body(5 + version, spec=spec) | {"kind": "DistillJob"})
    assert (store.students_of(one), store.students_of(other)) == ([], [key])
    store.remove(key, "u")
    assert store._students == {}


ABINIT = {"abinit": {"cutoffEv": 400, "kSpacing": 0.25, "pseudopotentials": {"Si": "Si.psp8", "C": "C.psp8"}}}


@pytest.mark.parametrize(
    ("changes", "reference"),
    [
        ({"labeling": {"engine": ABINIT}}, "ABINIT, 400 eV, k-points at most 0.25 1/Å apart, C.psp8, Si.psp8"),
        ({"data": [{"uri": "s3://pfd/old.xyz"}]}, "GFN1-xTB, and given data"),
        ({"labeling": {"engine": {"ase": {"calculator": "mace:MP", "parameters": {"token": "x"}}}}}, "mace:MP"),
    ],
    ids=["abinit", "data", "calculator"],
)
async def test_a_teacher_is_known_with_what_labelled_for_it(changes: dict[str, Any], reference: str) -> None:
    store, stage = ResourceStore(), {"digest": "a" * 64}
    status = {
        "phase": "Converged",
        "model": {"uri": "s3://pfd/best.pt", "iteration": 1},
        "inputs": {"prepare": stage, "train": stage},
    }
    store.keep(body(5, spec=SPEC | changes, status=status))
    student = body(6, spec={"teacher": {"fineTuneJob": {"name": "silicon"}}}) | {"kind": "DistillJob"}
    teacher = await teacher_of(cast(KubeApi, None), store, Snapshot(student))
    assert teacher is not None and teacher.record is not None
    assert (teacher.record.name, teacher.record.reference) == ("silicon", reference)


def test_a_new_resource_of_the_same_name_is_another() -> None:
    store = ResourceStore()
    store.keep(body(5))
    store.keep(body(9, uid="v"))
    store.remove(Key("FineTuneJob", "lab", "silicon"), "u")
    assert store.key_of(Owner("lab", "u")) is None
    assert store.key_of(Owner("lab", "v")) == Key("FineTuneJob", "lab", "silicon")
    store.remove(Key("FineTuneJob", "lab", "silicon"), "v")
    assert len(store) == 0


def test_a_late_answer_about_a_replaced_resource_does_not_bring_it_back() -> None:
    store, key = ResourceStore(), Key("FineTuneJob", "lab", "silicon")
    store.keep(body(5))
    store.keep(body(9, uid="v"))
    store.keep_written(Snapshot(body(6, status={"phase": "Running"})))
    assert store.uid_of(key) == "v"
    assert (store.key_of(Owner("lab", "u")), store.key_of(Owner("lab", "v"))) == (None, key)


def test_a_late_answer_about_a_deleted_resource_does_not_bring_it_back() -> None:
    store, key = ResourceStore(), Key("FineTuneJob", "lab", "silicon")
    store.keep(body(5))
    store.remove(key, "u")
    store.keep_written(Snapshot(body(6, status={"phase": "Converged"})))
    assert (len(store), list(store.figures()), store.written(key)) == (0, [], 0)


def test_a_version_covers_itself_and_what_was_before() -> None:
    held = Snapshot(body(5))
    assert held.covers(body(5))
    assert held.covers(body(4))
    assert not held.covers(body(6))
    assert not held.covers(body(4, uid="v"))


def test_equal_defaults_are_shared() -> None:
    system = {"name": "a", "structures": {"uri": "s3://pfd/a.xyz"}}
    one, other = System.model_validate(system), System.model_validate(system)
    # a fleet of thousands of parsed specs would else hold, and copy, as many defaults
    assert one.perturb is other.perturb

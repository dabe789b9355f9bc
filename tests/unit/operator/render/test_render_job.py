"""Jobs are drawn as kept in golden/, restricted, and refuse what cannot be drawn in the user's words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pfd_operator.contract.containers import ENGINE_CONTAINERS
from pfd_operator.contract.engine import AseEngine, Engine
from pfd_operator.contract.stage import GPUS_VARIABLE, LabelParams, PrepareParams, StageParams
from pfd_operator.contract.systems import LabelledData
from pfd_operator.contract.training import Training
from pfd_operator.plan.types import PlannedJob, Resource
from pfd_operator.render import RenderError, config_map_manifest, job_manifest, service_manifest
from pfd_operator.render.labels import label_value
from tests.unit.operator.render.render_samples import (
    SETTINGS,
    label_job,
    planned,
    prepare_job,
    resource,
    select_job,
    train_job,
)

CLAIMS = [{"name": "gpu", "resourceClaimTemplateName": "h100"}, {"name": "shared", "resourceClaimName": "a100"}]
XTB = {"engine": {"xtb": {}}}
PROGRAM = {
    "command": ["sh", "run.sh", "mpirun", "-np", "16", "vasp_std"],
    "files": {"INCAR": "ENCUT = 520\n", "run.sh": 'exec "$@"\n'},
    "filesFrom": [
        {"secret": {"name": "potcars", "key": "POTCAR.Si"}},
        {"configMap": {"name": "dft", "key": "KPOINTS"}},
    ],
    "output": {"file": "vasprun.xml", "format": "vasp-xml"},
}
STAGES: dict[str, tuple[Callable[[Resource], PlannedJob], dict[str, Any]]] = {
    "prepare": (prepare_job, {}),
    "label-abinit": (label_job, {}),
    "label-xtb": (label_job, {"labeling": XTB}),
    "label-program": (
        label_job,
        {"labeling": {"engine": {"program": PROGRAM}, "image": "registry.example/vasp:6"}, "aimd": {"steps": 1}},
    ),
    "train": (train_job, {}),
    "train-queued": (train_job, {"queue": {"name": "gpus", "priorityClass": "low"}}),
    "train-two-nodes": (train_job, {"training": {"nodes": 2}}),
    "train-claims": (train_job, {"pods": {"train": {"resourceClaims": CLAIMS}}}),
    "select": (select_job, {}),
}


def draw(name: str) -> dict[str, Any]:
    make, changes = STAGES[name]
    return job_manifest(make(resource(**changes)), SETTINGS, "token")


def all_containers(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    pod = manifest["spec"]["template"]["spec"]
    return [*pod.get("initContainers", []), *pod["containers"]]


@pytest.mark.parametrize("name", STAGES)
def test_golden(name: str, golden: Callable[[str, Any], None]) -> None:
    golden(name, draw(name))


def test_golden_config_map(golden: Callable[[str, Any], None]) -> None:
    golden("config-map", config_map_manifest("silicon-5f0c-structures", resource(), {"liquid.extxyz": "2\n\n…"}))


def test_golden_service(golden: Callable[[str, Any], None]) -> None:
    golden("service", service_manifest("pfd-silicon-5f0c", resource()))


def test_an_engine_that_lost_its_image_is_not_looked_for_in_the_worker_image() -> None:
    lost = replace(label_job(resource()), engine_image=None)
    with pytest.raises(RenderError, match=r"^spec\.labeling\.image: no image is known for the engine abinit"):
        job_manifest(lost, SETTINGS, "token")


@pytest.mark.parametrize("name", STAGES)
def test_pods_are_restricted(name: str) -> None:
    manifest = draw(name)
    pod = manifest["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    for container in all_containers(manifest):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }


@pytest.mark.parametrize("name", STAGES)
def test_every_mount_has_a_volume(name: str) -> None:
    manifest = draw(name)
    volumes = {volume["name"] for volume in manifest["spec"]["template"]["spec"]["volumes"]}
    for container in all_containers(manifest):
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes


@pytest.mark.parametrize(("make", "stage"), [(train_job, "train"), (label_job, "label")])
def test_scratch_space_is_as_large_as_the_disk_that_a_stage_may_use(
    make: Callable[[Resource], PlannedJob], stage: str
) -> None:
    def disks(pods: dict[str, Any]) -> list[dict[str, Any]]:
        volumes = job_manifest(make(resource(pods=pods)), SETTINGS, "token")["spec"]["template"]["spec"]["volumes"]
        found = [volume["emptyDir"] for volume in volumes if "emptyDir" in volume]
        return [each for each in found if each.get("medium") != "Memory"]

    limits = {"ephemeral-storage": "20Gi", "memory": "4Gi"}
    plain = disks({stage: {"resources": {"limits": {"memory": "4Gi"}}}})
    assert len(plain) >= 3 and not any(plain)
    assert disks({stage: {"resources": {"limits": limits}}}) == [{"sizeLimit": "20Gi"}] * len(plain)


def test_the_engine_sees_no_credentials() -> None:
    engine = next(item for item in all_containers(draw("label-abinit")) if item["name"] == "engine")
    assert [variable["name"] for variable in engine["env"]] == ["HOME"]


def test_only_the_engine_sees_the_files_of_its_users() -> None:
    mounts = {
        item["name"]: {mount["name"] for mount in item["volumeMounts"]}
        for item in all_containers(draw("label-program"))
    }
    assert {name for name, found in mounts.items() if "files" in found} == {"engine", "engine-probe"}


@pytest.mark.parametrize("name", ["label-abinit", "label-program"])
def test_engine_and_workers_share_one_folder_and_no_other(name: str) -> None:
    writable = {
        item["name"]: {mount["name"]: mount["mountPath"] for mount in item["volumeMounts"] if not mount.get("readOnly")}
        for item in all_containers(draw(name))
    }
    of_engine = writable["engine"].items() | writable["engine-probe"].items()
    workers = writable["stage-in"].items() | writable["stage-out"].items()
    assert of_engine & workers == {("engine", "/work/engine")}
    assert {volume for volume, _ in of_engine} & {volume for volume, _ in workers} == {"engine"}


@pytest.mark.parametrize("name", STAGES)
def test_workers_run_no_code_out_of_folders_that_can_be_written(name: str) -> None:
    for container in all_containers(draw(name)):
        given = {variable["name"]: variable.get("value") for variable in container["env"]}
        python = {key: value for key, value in given.items() if key.startswith("PYTHON")}
        of_a_worker = container["name"] not in ENGINE_CONTAINERS
        assert python == ({"PYTHONSAFEPATH": "1", "PYTHONNOUSERSITE": "1"} if of_a_worker else {})


ON_GPUS = {"resources": {"limits": {"nvidia.com/gpu": 2}}}


@pytest.mark.parametrize(
    ("changes", "given"),
    [
        ({"labeling": XTB}, {"stage": None}),
        ({"labeling": XTB, "pods": {"label": ON_GPUS}}, {"stage": "2"}),
        ({"labeling": XTB, "pods": {"label": {"resourceClaims": CLAIMS}}}, {"stage": "2"}),
        ({"labeling": XTB, "pods": {"label": {"resourceClaims": [CLAIMS[0] | {"gpus": 0}]}}}, {"stage": None}),
        (
            {"pods": {"label": ON_GPUS}},
            {"engine-probe": None, "stage-in": None, "engine": None, "stage-out": None},
        ),
    ],
    ids=["no gpu", "limit", "claims", "a claim that is none", "an engine with its own image"],
)
def test_a_worker_is_told_of_gpus_that_its_container_has(changes: dict[str, Any], given: dict[str, Any]) -> None:
    found = {
        item["name"]: next((each["value"] for each in item["env"] if each["name"] == GPUS_VARIABLE), None)
        for item in all_containers(job_manifest(label_job(resource(**changes)), SETTINGS, "token"))
    }
    assert found == given


def test_a_key_may_be_temporary() -> None:
    (container,) = all_containers(draw("train"))
    keys = [
        item["valueFrom"]["secretKeyRef"]
        for item in container["env"]
        if item["name"].startswith("AWS_") and "valueFrom" in item
    ]
    assert {key["key"]: key.get("optional", False) for key in keys} == {
        "AWS_ACCESS_KEY_ID": False,
        "AWS_SECRET_ACCESS_KEY": False,
        "AWS_SESSION_TOKEN": True,
    }


def test_only_worker_exit_codes_are_a_contract() -> None:
    rules = draw("label-abinit")["spec"]["podFailurePolicy"]["rules"]
    assert {rule["onExitCodes"]["containerName"] for rule in rules[1:]} == {"stage-in", "stage-out"}


def test_single_pods_are_retried_by_the_planner_only() -> None:
    spec = draw("train")["spec"]
    assert spec["backoffLimit"] == 0
    assert "podFailurePolicy" not in spec
    assert "ttlSecondsAfterFinished" not in spec


def test_parallelism_is_no_larger_than_completions() -> None:
    manifest = job_manifest(label_job(resource(), completions=2, parallelism=8), SETTINGS, "token")
    assert manifest["spec"]["parallelism"] == 2


def test_default_requests_do_not_undercut_given_limits() -> None:
    (container,) = all_containers(draw("train"))
    assert container["resources"] == {"requests": {"memory": "512Mi"}, "limits": {"nvidia.com/gpu": 1, "cpu": "4"}}


def test_too_large_spec_names_its_largest_part() -> None:
    owner = resource(training={"template": {"loss": {f"key{n}": "x" * 100 for n in range(200)}}})
    with pytest.raises(RenderError, match=r"largest part is spec\.training with \d+ bytes"):
        job_manifest(train_job(owner), SETTINGS, "token")


def test_an_engine_whose_image_was_taken_out_while_the_job_runs_is_named() -> None:
    job = replace(label_job(resource()), engine_image=None)
    with pytest.raises(RenderError, match=r"spec\.labeling\.image: no image is known for the engine abinit"):
        job_manifest(job, SETTINGS, "token")


HEAVY = {"calculator": "ase.calculators.emt:EMT", "parameters": {f"key{n}": "x" * 100 for n in range(200)}}


@pytest.mark.parametrize(
    ("params", "field"),
    [
        (
            LabelParams(engine=Engine.model_validate({"ase": HEAVY}), frames_per_pod=1, timeout_seconds=600),
            "labeling.engine",
        ),
        (
            LabelParams(tighter=Engine.model_validate({"ase": HEAVY}), frames_per_pod=1, timeout_seconds=600),
            "labeling.noiseCheck",
        ),
        (
            PrepareParams(calculator=AseEngine.model_validate(HEAVY), training=Training()),
            "teacher.calculator",
        ),
        (
            PrepareParams(training=Training(), dft_data=[LabelledData(uri=f"s3://{'x' * 1000}/y")] * 20),
            "acceptance.dftData",
        ),
    ],
)
def test_the_largest_part_is_named_as_the_user_wrote_it(params: StageParams, field: str) -> None:
    with pytest.raises(RenderError, match=rf"largest part is spec\.{field} with \d+ bytes: shorten it$"):
        job_manifest(planned(params, resource()), SETTINGS, "token")


def test_owned_by_the_resource() -> None:
    (owner,) = draw("train")["metadata"]["ownerReferences"]
    assert owner["uid"] == resource().uid
    # with blockOwnerDeletion it would take rights on finalizers where OwnerReferencesPermissionEnforcement is on
    assert owner["controller"] and "blockOwnerDeletion" not in owner


def test_long_names_become_label_values_that_differ() -> None:
    names = ["a" * 80 + "x", "a" * 80 + "y", "short"]
    values = [label_value(name) for name in names]
    assert len(set(values)) == 3
    assert all(len(value) <= 63 for value in values)
    assert values[2] == "short"


@pytest.mark.parametrize("seconds", [None, 7200])
def test_a_job_that_replaces_its_pods_has_a_deadline_of_its_own(seconds: int | None) -> None:
    job = replace(label_job(resource()), active_deadline_seconds=seconds)
    assert job_manifest(job, SETTINGS, "token")["spec"].get("activeDeadlineSeconds") == seconds

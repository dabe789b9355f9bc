"""Rules across fields, as pydantic has them: tests/integration has what the API server makes of them."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from pfd_operator.api.crd import rendered
from pfd_operator.api.distill import DistillJobSpec, Teacher
from pfd_operator.api.finetune import FineTuneJobSpec
from pfd_operator.api.job import JobSpec
from tests.job_specs import DISTILL_SPEC, SPEC
from tests.teachers import ONE, TEACHERS

BY_PYDANTIC = {ONE: "exactly one of calculator, fineTuneJob, pretrained, uri is needed"}


@pytest.mark.parametrize(("given", "refused"), TEACHERS)
def test_who_teaches(given: dict[str, Any], refused: list[str]) -> None:
    if not refused:
        Teacher.model_validate(given)
        return
    with pytest.raises(ValidationError) as error:
        Teacher.model_validate(given)
    assert BY_PYDANTIC.get(refused[0], refused[0]) in str(error.value)


def test_a_field_that_goes_with_every_member_needs_no_rule() -> None:
    definition = yaml.safe_load(rendered()["pfd.dev_finetunejobs.yaml"])
    spec = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert len(spec["properties"]["model"]["x-kubernetes-validations"]) == 1


@pytest.mark.parametrize(
    ("aimd", "fine"),
    [
        ({"trajectories": 40, "steps": 1}, True),
        ({"trajectories": 0}, True),
        ({"trajectories": 1, "steps": 2}, False),
        ({}, False),
    ],
)
def test_a_program_runs_no_md(aimd: dict[str, Any], fine: bool) -> None:
    spec = {
        "model": {"uri": "s3://pfd/dpa2.pt"},
        "systems": [{"name": "salt", "structures": {"uri": "s3://pfd/salt.extxyz"}}],
        "exploration": {"stages": [{"temperaturesKelvin": [300]}]},
        "labeling": {"engine": {"program": {"command": ["vasp"]}}, "image": "vasp:6"},
        "convergence": {"forceRMSE": 0.1},
        "artifacts": {"s3": {"bucket": "pfd", "prefix": "salt"}},
        "aimd": aimd,
    }
    if fine:
        FineTuneJobSpec.model_validate(spec)
        return
    with pytest.raises(ValidationError, match=r"aimd\.steps\n.*set aimd\.steps to 1"):
        FineTuneJobSpec.model_validate(spec)


@pytest.mark.parametrize(
    ("holdout", "labeling", "words"),
    [
        ({"frames": 16}, {}, ""),
        ({"system": "diamond"}, {}, ""),
        ({"frames": 20}, {}, r"holdout\.frames\n.*leave holdout\.frames out"),
        ({}, {"noiseCheck": {"settings": {"accuracy": 0.01}}}, r"labeling\.noiseCheck\n.*give one of the two"),
        ({"system": "tin"}, {}, r"holdout\.data\n.*the name of one of systems"),
    ],
)
def test_a_given_hold_out_is_all_of_it(holdout: dict[str, Any], labeling: dict[str, Any], words: str) -> None:
    data = {"uri": "s3://pfd/test.extxyz", **{key: value for key, value in holdout.items() if key == "system"}}
    asked = {key: value for key, value in holdout.items() if key != "system"}
    spec = SPEC | {"holdout": {"data": [data], **asked}, "labeling": SPEC["labeling"] | labeling}
    if not words:
        FineTuneJobSpec.model_validate(spec)
        return
    with pytest.raises(ValidationError, match=words):
        FineTuneJobSpec.model_validate(spec)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([["melt"], ["slab", "melt"]], ""),
        ([["melt"], None], ""),
        (
            [["melt"], ["slb"]],
            r"exploration\.stages\[1\]\.systems has slb, and the systems of this job are melt, slab: c",
        ),
        (
            [["melt"], ["melt"]],
            r"exploration\.stages has none that runs slab: add it to systems of one, or give one without",
        ),
    ],
)
@pytest.mark.parametrize(("kind", "sample"), [(FineTuneJobSpec, SPEC), (DistillJobSpec, DISTILL_SPEC)])
def test_systems_and_stages_know_one_another(
    kind: type[JobSpec], sample: dict[str, Any], names: list[Any], words: str
) -> None:
    systems = [{"name": name, "structures": {"uri": f"s3://pfd/{name}.extxyz"}} for name in ("melt", "slab")]
    stages = [{"systems": each, "temperaturesKelvin": [300]} for each in names]
    spec = sample | {"systems": systems, "exploration": {"stages": stages}}
    if not words:
        kind.model_validate(spec)
        return
    with pytest.raises(ValidationError, match=words):
        kind.model_validate(spec)


def from_config_map(**changes: str) -> dict[str, Any]:
    structures = {"configMap": {"name": "si", "key": "POSCAR"} | changes}
    return {"systems": [{"name": "diamond", "structures": structures}]}


def with_s3(**changes: str) -> dict[str, Any]:
    return {"artifacts": {"s3": SPEC["artifacts"]["s3"] | changes}}


def with_file(**changes: str) -> dict[str, Any]:
    program = {"command": ["vasp"], "filesFrom": [{"secret": {"name": "potcars", "key": "POTCAR"} | changes}]}
    return {"labeling": {"engine": {"program": program}, "image": "vasp:6"}, "aimd": {"steps": 1}}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        *[(with_s3(credentialsSecret=name), "credentialsSecret") for name in ("", "../../other/secrets/keys", "Keys")],
        (with_s3(caBundleConfigMap="s3/ca"), "caBundleConfigMap"),
        (from_config_map(name="../si"), "name"),
        *[(from_config_map(key=key), "key") for key in (".", "..", "..data", "a/b", "")],
        (with_file(name=""), "name"),
    ],
)
def test_what_no_object_and_no_key_is_called(changes: dict[str, Any], field: str) -> None:
    """A pod cannot be made of it, and who reads objects by such names reads others."""
    with pytest.raises(ValidationError, match=rf"\.{field}\n"):
        FineTuneJobSpec.model_validate(SPEC | changes)


@pytest.mark.parametrize(
    "changes",
    [
        with_s3(credentialsSecret="s" * 253, caBundleConfigMap="my.ca-1"),
        *[from_config_map(name="si.structures", key=key) for key in (".hidden", "_x", "-x", "x..y", "a.")],
        with_file(name="lab.potcars"),
    ],
)
def test_what_objects_and_keys_may_be_called(changes: dict[str, Any]) -> None:
    FineTuneJobSpec.model_validate(SPEC | changes)

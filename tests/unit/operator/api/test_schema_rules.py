"""Rules across fields: the API server refuses by CEL what pydantic refuses, in the same words."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from pfd_operator.api.crd import rendered
from pfd_operator.api.distill import Teacher
from pfd_operator.api.finetune import FineTuneJobSpec

FILE = {"uri": "s3://pfd/dpa2.pt"}
NAME = {"pretrained": "DPA-3.1-3M"}
JOB = {"fineTuneJob": {"name": "silicon"}}
CALCULATOR = {"calculator": {"calculator": "ase.calculators.emt:EMT"}}
ONE = "exactly one of uri, pretrained, fineTuneJob, calculator is needed"
BRANCH = "branch goes with uri or pretrained only"


def refusals(rules: list[dict[str, str]], given: dict[str, Any]) -> list[str]:
    """Return the messages of the rules that do not hold, for rules of `has`, `!`, `||` and a count."""
    found = []
    for rule in rules:
        text = re.sub(r"has\(self\.(\w+)\)", lambda match: str(match[1] in given), rule["rule"])
        text = re.sub(r"(\[.*\])\.filter\(x, x\)\.size\(\)", r"sum(\1)", text)
        if not eval(text.replace("!", " not ").replace("||", "or")):
            found.append(rule["message"])
    return found


@pytest.mark.parametrize(
    ("given", "refused"),
    [
        (FILE, []),
        (NAME, []),
        (JOB, []),
        (CALCULATOR, []),
        (FILE | {"branch": "Omat24"}, []),
        (NAME | {"branch": "Omat24"}, []),
        (JOB | {"branch": "Omat24"}, [BRANCH]),
        (CALCULATOR | {"branch": "Omat24"}, [BRANCH]),
        (CALCULATOR | {"image": "mine:1"}, []),
        (JOB | {"image": "mine:1"}, []),
        ({"branch": "Omat24"}, [ONE, BRANCH]),
        (FILE | NAME, [ONE]),
    ],
)
def test_who_teaches(given: dict[str, Any], refused: list[str]) -> None:
    definition = yaml.safe_load(rendered()["pfd.dev_distilljobs.yaml"])
    spec = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert refusals(spec["properties"]["teacher"]["x-kubernetes-validations"], given) == refused
    if not refused:
        Teacher.model_validate(given)
        return
    with pytest.raises(ValidationError) as error:
        Teacher.model_validate(given)
    if refused == [BRANCH]:
        assert BRANCH in str(error.value)


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
        "model": FILE,
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

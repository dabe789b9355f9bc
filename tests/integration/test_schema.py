"""Every CEL rule of both definitions, as a real API server reads it: what it lets in and what it refuses."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster_parts import distill_body, job_body

from pfd_operator.kube.api import MERGE_PATCH, ApiError, KubeApi
from pfd_operator.kube.resources import collection_path

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
MAKERS = {"FineTuneJob": job_body, "DistillJob": distill_body}
Changes = dict[str, Any]


@dataclass(frozen=True)
class Rule:
    """One rule, where it stands."""

    kind: str
    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.kind}{self.path}: {self.message}"


@dataclass(frozen=True)
class Case:
    """Changes of the spec that a rule lets in, and such that it refuses."""

    kind: str
    path: str
    message: str
    accepted: Changes
    refused: tuple[Changes, ...]


def rules() -> list[Rule]:
    found = []
    for path in sorted((ROOT / "crds").glob("*.yaml")):
        definition = yaml.load(path.read_text(), yaml.CSafeLoader)["spec"]
        schema = definition["versions"][0]["schema"]["openAPIV3Schema"]
        found += [Rule(definition["names"]["kind"], *where) for where in _rules_in(schema, "")]
    return found


def _rules_in(schema: Any, path: str) -> Iterator[tuple[str, str]]:
    for rule in schema.get("x-kubernetes-validations", []):
        yield path, rule["message"]
    for name, child in schema.get("properties", {}).items():
        yield from _rules_in(child, f"{path}.{name}")
    if "items" in schema:
        yield from _rules_in(schema["items"], f"{path}[]")


def system(name: str = "diamond", structures: Any = None, **perturb: Any) -> Changes:
    found = structures or {"uri": "s3://pfd/si.extxyz"}
    return {"systems": [{"name": name, "structures": found, "perturb": perturb}]}


CONFIG_MAP = {"configMap": {"name": "si", "key": "si.extxyz"}}
URI = {"uri": "s3://pfd/models/tiny.pt"}
EMT = {"calculator": "ase.calculators.emt:EMT"}


def noise(frames: int) -> Changes:
    return {"labeling": {"noiseCheck": {"frames": frames, "settings": {}}}}


def claim(stage: str, **sources: str) -> Changes:
    return {"pods": {stage: {"resourceClaims": [{"name": "gpu", **sources}]}}}


def shared_cases(kind: str, stages: tuple[str, ...]) -> list[Case]:
    """Return the cases of what both kinds have."""
    ended = "TemplateName", "Name"
    of_claims = [
        Case(
            kind,
            f".spec.pods.{stage}.resourceClaims[]",
            "exactly one of resourceClaimName, resourceClaimTemplateName is needed",
            claim(stage, resourceClaimTemplateName="one"),
            (claim(stage), claim(stage, **{f"resourceClaim{end}": "one" for end in ended})),
        )
        for stage in stages
    ]
    return [
        *of_claims,
        Case(
            kind,
            ".spec.systems[].structures",
            "exactly one of configMap, uri, inline is needed",
            system(structures=CONFIG_MAP),
            (system(structures={"uri": None}), system(structures={**CONFIG_MAP, "inline": "1\n\nSi 0 0 0\n"})),
        ),
        Case(
            kind,
            ".spec.systems[].perturb.slab.miller",
            "[0, 0, 0] is no plane",
            system(slab={"miller": [0, 0, -1]}),
            (system(slab={"miller": [0, 0, 0]}),),
        ),
    ]


CASES = [
    *shared_cases("FineTuneJob", ("prepare", "explore", "select", "label", "train")),
    *shared_cases("DistillJob", ("prepare", "explore", "select", "label", "train", "accept")),
    Case(
        "FineTuneJob",
        ".spec",
        "budget.maxLabels is less than aimd.trajectories × aimd.steps + holdout.frames + labeling.noiseCheck.frames, "
        "which the first iteration needs",
        {"budget": {"maxLabels": 8}, **noise(2)},
        ({"budget": {"maxLabels": 7}, **noise(2)}, {"budget": {"maxLabels": 5}}),
    ),
    Case(
        "FineTuneJob",
        ".spec",
        "labeling.noiseCheck.frames are frames of the hold-out, and more than holdout.frames",
        noise(4),
        (noise(5),),
    ),
    Case(
        "FineTuneJob",
        ".spec",
        "aimd.trajectories = 0 leaves nothing to train on at first: give data, or let AIMD run",
        {"aimd": {"trajectories": 0}, "data": [{"uri": "s3://pfd/labels.extxyz"}]},
        ({"aimd": {"trajectories": 0}},),
    ),
    Case(
        "FineTuneJob",
        ".spec.model",
        "exactly one of uri, pretrained is needed",
        {"model": {"uri": None, "pretrained": "7net-0"}},
        ({"model": {"uri": None}}, {"model": {"pretrained": "7net-0"}}),
    ),
    Case(
        "FineTuneJob",
        ".spec.labeling.engine",
        "exactly one of abinit, xtb, ase is needed",
        {"labeling": {"engine": {"xtb": None, "ase": EMT}}},
        ({"labeling": {"engine": {"xtb": None}}}, {"labeling": {"engine": {"ase": EMT}}}),
    ),
    Case(
        "DistillJob",
        ".spec",
        "systems is needed unless the teacher is a FineTuneJob, whose systems are taken then",
        {"teacher": {"fineTuneJob": None, **URI}, **system()},
        ({"teacher": {"fineTuneJob": None, **URI}},),
    ),
    Case(
        "DistillJob",
        ".spec",
        "budget.maxLabels is less than holdout.frames + selection.framesPerIteration, which the first round needs",
        {"budget": {"maxLabels": 7}},
        ({"budget": {"maxLabels": 6}},),
    ),
    Case(
        "DistillJob",
        ".spec",
        "acceptance.dftForceRatio needs a DFT hold-out, which only teacher.fineTuneJob brings",
        {"acceptance": {"dftForceRatio": 1.5}},
        ({"acceptance": {"dftForceRatio": 1.5}, "teacher": {"fineTuneJob": None, **URI}, **system()},),
    ),
    Case(
        "DistillJob",
        ".spec.teacher",
        "exactly one of uri, pretrained, fineTuneJob, calculator is needed",
        {"teacher": {"fineTuneJob": None, "calculator": EMT}, **system()},
        ({"teacher": {"fineTuneJob": None}, **system()}, {"teacher": URI}),
    ),
    Case(
        "DistillJob",
        ".spec.student",
        "at most one of preset, model is needed",
        {"student": {"preset": "small"}},
        ({"student": {"preset": "small", "model": {}}},),
    ),
]
FROZEN: dict[str, dict[str, Any]] = {
    "FineTuneJob": {
        "aimd": {"steps": 3},
        "data": [{"uri": "s3://pfd/labels.extxyz"}],
        "labeling": {"parallelism": 3},
        "model": {"uri": "s3://pfd/models/other.pt"},
        "convergence": {"forceRMSE": 0.07},
        **system("other"),
    },
    "DistillJob": {
        "student": {"preset": "large"},
        "labeling": {"parallelism": 3},
        "teacher": {"fineTuneJob": {"name": "other"}},
        "acceptance": {"forceRMSE": 0.07},
        **system("other"),
    },
}
"""By kind, a change of each field that stays as it is once the job has started."""
for _changes in FROZEN.values():
    _changes |= {
        "artifacts": {"s3": {"prefix": "elsewhere"}},
        "exploration": {"pods": 3},
        "holdout": {"frames": 5},
        "seed": 5,
        "selection": {"framesPerIteration": 4},
        "training": {"steps": 9},
    }
WITH_RESTART = {"acceptance", "convergence", "exploration", "seed", "selection", "training"}
"""Fields that a restart may change."""


def is_frozen(rule: Rule) -> bool:
    return rule.path == "" and "is frozen once started" in rule.message


def test_every_rule_has_examples() -> None:
    known = {(case.kind, case.path, case.message) for case in CASES}
    found = rules()
    assert {(rule.kind, rule.path, rule.message) for rule in found if not is_frozen(rule)} == known
    fields = {(rule.kind, rule.message.split()[0].removeprefix("spec.")) for rule in found if is_frozen(rule)}
    assert fields == {(kind, field) for kind, changes in FROZEN.items() for field in changes}
    assert len(found) == len(known) + len(fields)


def merged(target: Any, changes: Any) -> Any:
    """Return what a merge patch makes of it."""
    if not isinstance(changes, dict):
        return changes
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in changes.items():
        result[name] = merged(result.get(name), value)
    return {name: value for name, value in result.items() if value is not None}


async def create(api: KubeApi, kind: str, changes: Changes) -> None:
    """Ask whether it would be created."""
    body = MAKERS[kind]("tried")
    body["spec"] = merged(copy.deepcopy(body["spec"]), changes)
    await api.request("POST", f"{collection_path(kind, 'default')}?dryRun=All", body)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.kind}{case.path} {case.message[:40]}")
async def test_a_rule_lets_in_what_is_right_and_says_what_is_not(api: KubeApi, case: Case) -> None:
    await create(api, case.kind, case.accepted)
    for changes in case.refused:
        with pytest.raises(ApiError) as refused:
            await create(api, case.kind, changes)
        assert (refused.value.status, refused.value.reason) == (422, "Invalid")
        assert refused.value.message.endswith(f": {case.message}"), "and nothing else"


@pytest.mark.parametrize("kind", FROZEN)
async def test_a_job_that_has_started_stays_what_it_is(api: KubeApi, namespace: str, kind: str) -> None:
    collection = collection_path(kind, namespace)
    path = f"{collection}/started"
    await api.request("POST", collection, MAKERS[kind]("started"))

    async def try_to_change(**spec: Any) -> str:
        """Return what the server says to it."""
        try:
            await api.request("PATCH", f"{path}?dryRun=All", {"spec": spec}, content_type=MERGE_PATCH)
        except ApiError as error:
            assert (error.status, error.reason) == (422, "Invalid")
            return error.message
        return ""

    restart = {"fromIteration": 1, "id": "again"}
    for field, value in FROZEN[kind].items():
        assert await try_to_change(**{field: value}) == "", f"{field} before the start"
    status = {"status": {"phase": "Running", "specDigest": "ab" * 32}}
    await api.request("PATCH", f"{path}/status", status, content_type=MERGE_PATCH)
    for field, value in FROZEN[kind].items():
        with_restart = field in WITH_RESTART
        how = "change it with a new spec.restart.id" if with_restart else "a new job reuses labels"
        message = f"spec.{field} is frozen once started; {how}"
        assert (await try_to_change(**{field: value})).endswith(f": {message}")
        said = await try_to_change(**{field: value}, restart=restart)
        assert said == "" if with_restart else said.endswith(f": {message}")
    assert await try_to_change(suspend=True) == ""

"""Every CEL rule of both definitions, as a real API server reads it: what it lets in and what it refuses."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from pfd_operator.kube.api import MERGE_PATCH, ApiError, KubeApi
from pfd_operator.kube.resources import collection_path
from tests.integration.asking import said_to
from tests.integration.schema_cases import CASES, FREE, FROZEN, WITH_RESTART, Case, Changes, inlined, system
from tests.job_specs import BODIES, job_body
from tests.merged import merged
from tests.teachers import NO_BRANCH, ONE, TEACHERS
from tests.until import until

ROOT = Path(__file__).parents[2]
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


@dataclass(frozen=True)
class Rule:
    """One rule, where it stands."""

    kind: str
    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.kind}{self.path}: {self.message}"


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


def is_frozen(rule: Rule) -> bool:
    return rule.path == "" and "is frozen once started" in rule.message


def test_every_rule_has_examples() -> None:
    known = {(case.kind, case.path, case.message) for case in CASES}
    found = rules()
    assert {(rule.kind, rule.path, rule.message) for rule in found if not is_frozen(rule)} == known
    fields = {(rule.kind, rule.message.split()[0].removeprefix("spec.")) for rule in found if is_frozen(rule)}
    assert fields == {(kind, field) for kind, changes in FROZEN.items() for field in changes}
    assert len(found) == len(known) + len(fields)


async def create(api: KubeApi, kind: str, changes: Changes) -> None:
    """Ask whether it would be created."""
    body = BODIES[kind]("tried")
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


@pytest.mark.parametrize(("given", "broken"), TEACHERS)
async def test_who_teaches(api: KubeApi, given: Changes, broken: list[str]) -> None:
    # a teacher that is a job brings the systems
    changes = {"teacher": {"fineTuneJob": None, **given}, **({} if "fineTuneJob" in given else system())}
    if not broken:
        await create(api, "DistillJob", changes)
        return
    with pytest.raises(ApiError) as refused:
        await create(api, "DistillJob", changes)
    assert refused.value.status == 422
    assert [message for message in (ONE, NO_BRANCH) if message in refused.value.message] == broken


@pytest.mark.parametrize("kind", FROZEN)
async def test_a_job_that_has_started_stays_what_it_is(api: KubeApi, namespace: str, kind: str) -> None:
    collection = collection_path(kind, namespace)
    path = f"{collection}/started"
    await api.request("POST", collection, BODIES[kind]("started"))

    async def try_to_change(spec: Changes) -> str:
        """Return what the server says to it."""
        return await said_to(api, "PATCH", f"{path}?dryRun=All", {"spec": spec}, 422)

    restart = {"fromIteration": 1, "id": "again"}
    for field, change in FROZEN[kind].items():
        assert await try_to_change(change) == "", f"{field} before the start"
    status = {"status": {"phase": "Running", "specDigest": "ab" * 32}}
    await api.request("PATCH", f"{path}/status", status, content_type=MERGE_PATCH)
    for field, change in FROZEN[kind].items():
        with_restart = field in WITH_RESTART
        how = "change it with a new spec.restart.id" if with_restart else "a new job finds labels of equal structures"
        message = f": spec.{field} is frozen once started; {how}"
        assert message in await try_to_change(change)
        said = await try_to_change(change | {"restart": restart})
        assert said == "" if with_restart else message in said
    await api.request("PATCH", path, {"spec": {"restart": restart}}, content_type=MERGE_PATCH)
    dealt_with = {"status": {"restartId": restart["id"]}}
    await api.request("PATCH", f"{path}/status", dealt_with, content_type=MERGE_PATCH)
    for field in WITH_RESTART & FROZEN[kind].keys():
        change = FROZEN[kind][field]
        assert await try_to_change(change | {"restart": restart | {"id": "once more"}}) == ""
        # neither a restart that was dealt with nor one that was taken out is a new one
        for no_new_one in (restart, None):
            said = await try_to_change(change | {"restart": no_new_one})
            assert said.endswith("change it with a new spec.restart.id"), f"{field} with {no_new_one}"


@pytest.mark.parametrize("kind", FREE)
async def test_what_no_output_depends_on_may_change_while_a_job_runs(api: KubeApi, namespace: str, kind: str) -> None:
    collection = collection_path(kind, namespace)
    path = f"{collection}/started"
    await api.request("POST", collection, BODIES[kind]("started"))
    status = {"status": {"phase": "Running", "specDigest": "ab" * 32}}
    await api.request("PATCH", f"{path}/status", status, content_type=MERGE_PATCH)
    for change in FREE[kind]:
        # one after another: a field that was not there comes, becomes another, and goes
        await api.request("PATCH", path, {"spec": change}, content_type=MERGE_PATCH)


@pytest.fixture
async def inline_unbounded(api: KubeApi) -> AsyncIterator[dict[str, Any]]:
    """A definition as it was before the rule on inline text, under a name of its own."""
    definition = yaml.load((ROOT / "crds/pfd.dev_finetunejobs.yaml").read_text(), yaml.CSafeLoader)
    definition["metadata"] = {"name": "formerjobs.pfd.dev"}
    definition["spec"]["names"] = {"kind": "FormerJob", "plural": "formerjobs"}
    spec = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    rules = spec["x-kubernetes-validations"]
    spec["x-kubernetes-validations"] = [rule for rule in rules if "structures.inline" not in rule["message"]]
    await api.request("POST", DEFINITIONS, definition)
    spec["x-kubernetes-validations"] = rules
    yield definition
    await api.request("DELETE", f"{DEFINITIONS}/formerjobs.pfd.dev")


async def test_a_job_with_more_inline_than_is_let_in_now_can_be_stopped(
    api: KubeApi, namespace: str, inline_unbounded: dict[str, Any]
) -> None:
    collection = f"/apis/pfd.dev/v1alpha1/namespaces/{namespace}/formerjobs"
    body = job_body("former") | {"kind": "FormerJob"}
    body["spec"] = merged(body["spec"], inlined(5))

    async def made() -> bool:
        return await said_to(api, "POST", collection, body) == ""

    async def refused() -> bool:
        return "structures.inline" in await said_to(api, "POST", f"{collection}?dryRun=All", body | other)

    other = {"metadata": {"name": "other"}}
    await until(made, what="the former definition")
    await api.request("PATCH", f"{DEFINITIONS}/formerjobs.pfd.dev", inline_unbounded, content_type=MERGE_PATCH)
    await until(refused, what="the new definition")

    async def patched(spec: Changes) -> str:
        return await said_to(api, "PATCH", f"{collection}/former", {"spec": spec})

    assert "structures.inline" in await patched(inlined(6))
    assert await patched({"stop": "Now", "budget": {"maxLabels": 400}}) == ""
    assert await patched(inlined(4)) == ""
    assert "structures.inline" in await patched(inlined(5))

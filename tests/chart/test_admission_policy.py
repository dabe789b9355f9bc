"""What the API server takes from the operator's account: what it draws, and little else."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from pfd_operator.api.job import GROUP, VERSION
from pfd_operator.api.kinds import KINDS
from tests.chart_rendering import of_kind, render

OFF = ("--set", "admissionPolicy.enabled=false")
PARTS = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")


def policies(*arguments: str) -> dict[str, dict[str, Any]]:
    found = of_kind(render(*arguments), PARTS[0])
    return {policy["metadata"]["name"].rpartition("-")[2]: policy["spec"] for policy in found}


def expressions(spec: dict[str, Any]) -> str:
    return "\n".join(validation["expression"] for validation in spec["validations"])


def accounts(*arguments: str) -> list[str]:
    (names,) = re.findall(r"serviceAccountName in (\[.*?\])", expressions(policies(*arguments)["pods"]))
    return list(json.loads(names))


def accounts_with(name: str) -> list[str]:
    return accounts("--set", f"stages.serviceAccountName={name}")


def test_there_unless_switched_off() -> None:
    assert {document["kind"] for document in render()} >= set(PARTS)
    assert not {document["kind"] for document in render(*OFF)} & set(PARTS)


@pytest.mark.parametrize("arguments", [(), ("--set", "namespaces={lab}")])
def test_it_holds_for_the_operators_account_only_and_denies(arguments: tuple[str, ...]) -> None:
    documents = render(*arguments)
    (account,) = of_kind(documents, "ServiceAccount")
    user = f'request.userInfo.username == "system:serviceaccount:pfd-system:{account["metadata"]["name"]}"'
    names = set()
    for policy in of_kind(documents, PARTS[0]):
        assert [condition["expression"] for condition in policy["spec"]["matchConditions"]] == [user]
        assert policy["spec"]["failurePolicy"] == "Fail"
        names.add(policy["metadata"]["name"])
    bindings = of_kind(documents, PARTS[1])
    assert {binding["spec"]["policyName"] for binding in bindings} == names
    assert len(bindings) == len(names) == 3
    assert all(binding["spec"]["validationActions"] == ["Deny"] for binding in bindings)


def test_all_that_the_role_lets_it_create_beside_events_needs_an_owner() -> None:
    (role,) = (each for each in of_kind(render(), "ClusterRole") if each["metadata"]["name"] == "pfd")
    may_create = {
        (group, resource)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        if "create" in rule["verbs"]
    }
    rules = policies()["owners"]["matchConstraints"]["resourceRules"]
    matched = {(group, resource) for rule in rules for group in rule["apiGroups"] for resource in rule["resources"]}
    assert matched == may_create - {("", "events")}
    assert all(rule["apiVersions"] == ["v1"] and "CREATE" in rule["operations"] for rule in rules)
    may_delete = {resource for rule in role["rules"] for resource in rule["resources"] if "delete" in rule["verbs"]}
    deleting = [resource for rule in rules for resource in rule["resources"] if "DELETE" in rule["operations"]]
    assert set(deleting) == may_delete


def test_owners_are_the_operators_kinds() -> None:
    said = expressions(policies()["owners"])
    assert f'owner.apiVersion == "{GROUP}/{VERSION}"' in said
    assert "has(owner.controller) && owner.controller &&" in said
    (kinds,) = re.findall(r"owner\.kind in (\[.*?\])", said)
    assert set(json.loads(kinds)) == {kind.name for kind in KINDS.values()}


def test_the_account_of_stages_is_default_or_the_one_that_is_set() -> None:
    assert accounts() == ["default"]
    assert accounts_with("stage") == ["default", "stage"]


def test_expressions_read_only_what_they_have_asked_for() -> None:
    """A field that is not there ends an expression with an error, and that is a refusal."""
    always = {
        "containers",
        "sources",
        "apiVersion",
        "kind",
        "metadata",
        "spec",
        "template",
        "pod",
        "subject",
        "operation",
        "request",
        "namespace",
        "object",
        "type",
    }
    for spec in policies().values():
        for validation in (*spec["validations"], *spec.get("variables", ())):
            said = re.sub(r'"[^"]*"', '""', validation["expression"])
            asked = set(re.findall(r"has\([\w.]*?(\w+)\)", said))
            read = set(re.findall(r"\.(\w+)\b(?!\()", said))
            assert read <= asked | always, read - asked - always
            assert said.count("(") == said.count(")")
            assert said.count("[") == said.count("]")

"""What one job may ask for at most: drawn if it is asked for, and for the release's own namespaces."""

from __future__ import annotations

from typing import Any

import pytest

from pfd_operator.api.job import GROUP
from pfd_operator.api.kinds import KINDS
from tests.chart_rendering import of_kind, refusal, render

POLICY, BINDING = "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"
BOTH = ("--set", "limits.gpuHours=48", "--set", "limits.maxLabels=2000000")


def parts(kind: str, *arguments: str) -> list[dict[str, Any]]:
    return [each for each in of_kind(render(*arguments), kind) if each["metadata"]["name"].endswith("-limits")]


def policy(*arguments: str) -> dict[str, Any]:
    (found,) = parts(POLICY, *arguments)
    return dict(found["spec"])


def test_none_unless_asked_for() -> None:
    assert not parts(POLICY) + parts(BINDING)


def test_each_limit_is_a_rule_of_its_own() -> None:
    rules = policy(*BOTH)["validations"]
    for written in ("double(48)", "claim.gpus > 0", "<= 2000000 ||"):
        assert sum(written in rule["expression"] for rule in rules) == 1
    assert "at most 48 " in rules[0]["message"] and "at most 2000000 here" in rules[2]["message"]
    assert policy(*BOTH[:2])["validations"] == rules[:2]
    assert policy(*BOTH[2:])["validations"] == rules[2:]


def test_it_is_of_all_kinds_and_of_no_status() -> None:
    (rule,) = policy(*BOTH)["matchConstraints"]["resourceRules"]
    assert rule["apiGroups"] == [GROUP]
    assert set(rule["resources"]) == {kind.plural for kind in KINDS.values()}
    assert set(rule["operations"]) == {"CREATE", "UPDATE"}


def test_it_holds_where_the_release_serves() -> None:
    (everywhere,) = parts(BINDING, *BOTH)
    assert "matchResources" not in everywhere["spec"]
    (somewhere,) = parts(BINDING, *BOTH, "--set", "namespaces={lab,group}")
    (expression,) = somewhere["spec"]["matchResources"]["namespaceSelector"]["matchExpressions"]
    assert expression == {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["lab", "group"]}
    for binding in (everywhere, somewhere):
        assert binding["spec"]["validationActions"] == ["Deny"]
        assert binding["spec"]["policyName"] == binding["metadata"]["name"] == "pfd-pfd-system-limits"


@pytest.mark.parametrize("wrong", ["gpuHours=0", "maxLabels=1.5", "maxLabels=0", "cpuHours=9"])
def test_what_is_no_limit_is_refused(wrong: str) -> None:
    assert "limits" in refusal("--set", f"limits.{wrong}")

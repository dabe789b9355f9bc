"""Who may talk to whom."""

from __future__ import annotations

from typing import Any

import pytest

from pfd_operator.contract.stage import StageKind
from pfd_operator.render.labels import KIND_LABEL, STAGE_LABEL
from tests.chart_rendering import of_kind, refusal, render

ON = ("--set", "networkPolicies.enabled=true")
STAGE_PODS = {"matchExpressions": [{"key": label, "operator": "Exists"} for label in (KIND_LABEL, STAGE_LABEL)]}


def policies(*arguments: str) -> dict[str, dict[str, Any]]:
    found = of_kind(render(*ON, *arguments), "NetworkPolicy")
    return {policy["metadata"]["name"]: policy for policy in found}


def reachable_ports(rules: list[dict[str, Any]]) -> set[int]:
    return {port["port"] for rule in rules for port in rule["ports"]}


def test_none_if_both_are_switched_off() -> None:
    values = "s3.enabled=true,namespaces={lab},networkPolicies.jobNamespaces={lab},networkPolicies.ingress=false"
    assert not of_kind(render("--set", values), "NetworkPolicy")


def test_by_default_nothing_is_said_of_what_pods_reach_nor_of_s3() -> None:
    values = "s3.enabled=true,namespaces={lab},networkPolicies.jobNamespaces={lab,group}"
    found, in_full = (
        {
            (policy["metadata"]["name"], policy["metadata"].get("namespace")): policy["spec"]
            for policy in of_kind(render(*arguments, "--set", values), "NetworkPolicy")
        }
        for arguments in ((), ON)
    )
    assert in_full.keys() - found.keys() == {("pfd-s3", None)}
    assert {namespace for _, namespace in found} == {None, "lab", "group"}
    for name, spec in found.items():
        same = {part: in_full[name][part] for part in ("podSelector", "ingress")}
        assert spec == same | {"policyTypes": ["Ingress"]}


def test_namespaces_that_are_served_and_not_limited_may_reach_all() -> None:
    values = "s3.enabled=true,namespaces={lab},networkPolicies.jobNamespaces={group}"
    types = {
        policy["metadata"]["namespace"]: policy["spec"]["policyTypes"]
        for policy in of_kind(render(*ON, "--set", values), "NetworkPolicy")
        if policy["metadata"]["name"].endswith("-stages")
    }
    assert types == {"lab": ["Ingress"], "group": ["Ingress", "Egress"]}


def test_the_operator_reaches_dns_and_the_api_server_and_is_reached_by_stages_and_prometheus() -> None:
    arguments = "networkPolicies.apiServer.cidrs={10.0.0.1/32},networkPolicies.apiServer.ports={16443}"
    spec = policies("--set", arguments)["pfd"]["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    dns, api_server = spec["egress"]
    assert dns == {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}
    assert api_server["to"] == [{"ipBlock": {"cidr": "10.0.0.1/32"}}]
    assert reachable_ports([api_server]) == {16443}
    stages, prometheus = spec["ingress"]
    assert stages["from"] == [{"namespaceSelector": {}, "podSelector": STAGE_PODS}]
    (scrapes,) = prometheus["from"]
    assert scrapes["namespaceSelector"]["matchExpressions"][0]["values"] == ["monitoring"]
    assert (reachable_ports([stages]), reachable_ports([prometheus])) == ({8080}, {8081})


@pytest.mark.parametrize("none", ["null", "[]"])
def test_without_namespaces_of_prometheus_nobody_reaches_the_metrics(none: str) -> None:
    (stages,) = policies("--set-json", f"networkPolicies.prometheusNamespaces={none}")["pfd"]["spec"]["ingress"]
    assert reachable_ports([stages]) == {8080}


def test_policies_select_the_pods_they_are_meant_for() -> None:
    documents = render(*ON, "--set", "s3.enabled=true")
    for name in ("pfd", "pfd-s3"):
        (policy,) = (each for each in of_kind(documents, "NetworkPolicy") if each["metadata"]["name"] == name)
        (deployment,) = (each for each in of_kind(documents, "Deployment") if each["metadata"]["name"] == name)
        template = deployment["spec"]["template"]
        assert policy["spec"]["podSelector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
        ports = {port["containerPort"] for each in template["spec"]["containers"] for port in each["ports"]}
        assert reachable_ports(policy["spec"]["ingress"]) == ports


def test_s3_is_reached_by_stages_and_by_the_job_that_makes_the_bucket() -> None:
    documents = render(*ON, "--set", "s3.enabled=true")
    (bucket,) = of_kind(documents, "Job")
    stages, maker = policies("--set", "s3.enabled=true")["pfd-s3"]["spec"]["ingress"][0]["from"]
    assert stages["podSelector"] == STAGE_PODS
    assert maker["podSelector"]["matchLabels"] == bucket["spec"]["template"]["metadata"]["labels"]


def test_with_named_namespaces_only_their_stages_reach_the_operator() -> None:
    stages = policies("--set", "namespaces={a,b}")["pfd"]["spec"]["ingress"][0]["from"][0]
    assert stages["namespaceSelector"]["matchExpressions"][0]["values"] == ["a", "b"]


def test_stage_pods_reach_dns_s3_and_the_operator_and_are_reached_by_nobody() -> None:
    documents = render(*ON, "--set", "s3.enabled=true,networkPolicies.jobNamespaces={lab,group}")
    found = [each for each in of_kind(documents, "NetworkPolicy") if each["metadata"]["name"].endswith("-stages")]
    assert [each["metadata"]["namespace"] for each in found] == ["lab", "group"]
    pods = {each["metadata"]["name"]: each["spec"]["template"] for each in of_kind(documents, "Deployment")}
    for policy in found:
        spec = policy["spec"]
        assert (spec["podSelector"], spec["policyTypes"], spec["ingress"]) == (STAGE_PODS, ["Ingress", "Egress"], [])
        dns, operator, s3 = spec["egress"]
        assert reachable_ports([dns]) == {53}
        for rule, name, port in ((operator, "pfd", 8080), (s3, "pfd-s3", 7070)):
            (to,) = rule["to"]
            assert to["namespaceSelector"] == {"matchLabels": {"kubernetes.io/metadata.name": "pfd-system"}}
            assert to["podSelector"]["matchLabels"].items() <= pods[name]["metadata"]["labels"].items()
            assert reachable_ports([rule]) == {port}


def test_pods_that_train_together_reach_one_another() -> None:
    spec = policies("--set", "s3.enabled=true,networkPolicies.jobNamespaces={lab}")["pfd-pfd-system-trainings"]["spec"]
    trainings = {"matchLabels": {STAGE_LABEL: StageKind.TRAIN.value}}
    assert spec["podSelector"] == trainings
    assert spec["ingress"] == [{"from": [{"podSelector": trainings}]}]
    assert spec["egress"] == [{"to": [{"podSelector": trainings}]}]


def test_s3_elsewhere() -> None:
    namespaces = "networkPolicies.jobNamespaces={lab}"
    assert "would reach no S3" in refusal(*ON, "--set", namespaces)
    outside = "networkPolicies.s3[0].cidr=10.1.0.0/24,networkPolicies.s3[0].ports={443}"
    egress = policies("--set", namespaces, "--set", outside)["pfd-pfd-system-stages"]["spec"]["egress"]
    assert egress[2:] == [{"to": [{"ipBlock": {"cidr": "10.1.0.0/24"}}], "ports": [{"port": 443, "protocol": "TCP"}]}]
    assert "cidr" in refusal("--set", "networkPolicies.s3[0].cidr=anywhere,networkPolicies.s3[0].ports={443}")


@pytest.mark.parametrize("path", ["dnsPorts", "apiServer.ports"])
def test_no_ports_would_mean_all_of_them(path: str) -> None:
    wanted = f"missing property '{path.rpartition('.')[2]}'"
    assert wanted in refusal(*ON, "--set", f"networkPolicies.{path}=null")
    assert "minItems" in refusal(*ON, "--set-json", f"networkPolicies.{path}=[]")

"""What a user reads after an install."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from pfd_operator.api.kinds import KINDS
from pfd_operator.contract.location import S3Location
from tests.chart_rendering import CHART, notes, of_kind, render

EVERYTHING = (
    "s3.enabled=true,s3.secretNamespaces={lab},s3.persistence.enabled=false,namespaces={lab},crds.enabled=false,"
    "networkPolicies.enabled=true,monitoring.rules.enabled=true"
)


@pytest.mark.parametrize("values", ["", EVERYTHING])
def test_its_commands_name_what_is_there(tmp_path: Path, values: str) -> None:
    arguments = ("--set", values) if values else ()
    text = notes(tmp_path, *arguments)
    objects = {(each["kind"].lower(), each["metadata"]["name"]) for each in render(*arguments)}
    named = set(re.findall(r"(deployment|service)/([\w-]+)", text))
    assert ("deployment", "pfd") in named
    assert named <= objects
    for kind in KINDS.values():
        assert f"kubectl explain {kind.name.lower()}.spec" in text
        assert f"kubectl get {kind.plural} --watch" in text
        assert f"{kind.name} ({kind.short})" in text
    categories = {
        name for crd in of_kind(render(), "CustomResourceDefinition") for name in crd["spec"]["names"]["categories"]
    }
    assert "kubectl get pfd" in text
    assert "pfd" in categories


def test_the_store_it_shows_is_one_that_a_job_takes(tmp_path: Path) -> None:
    text = notes(tmp_path, "--set", EVERYTHING)
    store = yaml.safe_load(re.findall(r"\{bucket.*\}", text)[0])
    assert store.pop("credentialsSecret") == "pfd-s3"
    assert S3Location.model_validate(store).endpoint == "http://pfd-s3.pfd-system.svc:9000"
    assert "is in pfd-system, lab;" in text
    assert "NO volume" in text


def test_it_says_what_is_left_to_do_where_the_chart_has_no_s3_and_makes_no_rights(tmp_path: Path) -> None:
    bare, everything = notes(tmp_path / "bare"), notes(tmp_path / "everything", "--set", EVERYTHING)
    assert "S3 of yours" in bare and "S3 of yours" not in everything
    assert "create role" not in bare, "users of the whole cluster have the chart's ClusterRoles"
    created = re.findall(r"create role .*--resource=(\S+)", everything)
    assert created == [",".join(f"{kind.plural}.pfd.dev" for kind in KINDS.values())]


def test_keys_of_ones_own_are_to_be_copied(tmp_path: Path) -> None:
    text = notes(tmp_path, "--set", "s3.enabled=true,s3.existingSecret=mine")
    assert "credentialsSecret: mine}" in text
    assert "copy of mine" in text
    assert "pfd-s3 is in" not in text


def test_it_warns_of_what_would_not_work(tmp_path: Path) -> None:
    text = notes(tmp_path, "--set", EVERYTHING)
    assert "crds.enabled is false" in text
    assert "monitoring.serviceMonitor is off" in text


def test_it_says_from_where_prometheus_reaches_it(tmp_path: Path) -> None:
    assert "prometheusNamespaces): monitoring." in notes(tmp_path / "plain")
    named = ("--set", "networkPolicies.prometheusNamespaces={a,b}")
    assert "prometheusNamespaces): a, b." in notes(tmp_path / "named", *named)
    nowhere = ("--set", "networkPolicies.prometheusNamespaces=null")
    assert "prometheusNamespaces): none." in notes(tmp_path / "none", *nowhere)
    assert "Prometheus" not in notes(tmp_path / "open", "--set", "networkPolicies.ingress=false")


def test_it_warns_of_an_account_that_may_run_any_pod(tmp_path: Path) -> None:
    off = ("--set", "admissionPolicy.enabled=false")
    assert "in any namespace" in notes(tmp_path / "everywhere", *off)
    assert "in any namespace" not in notes(tmp_path / "named", *off, "--set", "namespaces={lab}")


def test_a_plain_install_is_not_bothered(tmp_path: Path) -> None:
    text = notes(tmp_path)
    assert "the whole cluster" in text
    for other in ("crds.enabled", "admissionPolicy", "monitoring.rules", "S3 in the cluster"):
        assert other not in text


def test_a_new_definition_needs_no_change_of_the_template() -> None:
    template = (CHART / "templates/crds.yaml").read_text()
    assert not [kind.plural for kind in KINDS.values() if kind.plural in template]

"""What the chart's templates give: least privilege, restricted pods, and nothing left out."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
HELM = Path(os.environ.get("PFD_CACHE", Path.home() / ".cache" / "pfd-operator")) / "bin" / "helm"


def render(*arguments: str) -> list[dict[str, Any]]:
    command = [
        str(HELM),
        "template",
        "pfd",
        str(ROOT / "charts/pfd-operator"),
        "--namespace",
        "pfd-system",
        "--kube-version",
        "1.34.0",
        *arguments,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def of_kind(documents: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [document for document in documents if document["kind"] == kind]


def test_crds_are_those_of_the_repository_and_are_kept() -> None:
    sources = {path.name: yaml.safe_load(path.read_text()) for path in (ROOT / "crds").glob("*.yaml")}
    crds = of_kind(render(), "CustomResourceDefinition")
    assert {crd["metadata"]["name"] for crd in crds} == {source["metadata"]["name"] for source in sources.values()}
    for crd in crds:
        group, plural = crd["spec"]["group"], crd["spec"]["names"]["plural"]
        assert crd["spec"] == sources[f"{group}_{plural}.yaml"]["spec"]
        assert crd["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert not of_kind(render("--set", "crds.enabled=false"), "CustomResourceDefinition")


def test_nobody_may_read_secrets() -> None:
    for documents in (render(), render("--set", "namespaces={a,b}")):
        for role in of_kind(documents, "ClusterRole") + of_kind(documents, "Role"):
            for rule in role["rules"]:
                assert "secrets" not in rule["resources"]
                assert "*" not in rule["resources"] + rule["verbs"] + rule["apiGroups"]


def test_namespaced_mode_needs_nothing_of_the_cluster() -> None:
    documents = render("--set", "namespaces={a,b}")
    assert not of_kind(documents, "ClusterRole")
    assert not of_kind(documents, "ClusterRoleBinding")
    assert {role["metadata"].get("namespace") for role in of_kind(documents, "Role")} >= {"a", "b"}


@pytest.mark.parametrize("arguments", [(), ("--set", "s3.enabled=true")])
def test_pods_meet_the_restricted_profile(arguments: tuple[str, ...]) -> None:
    for deployment in of_kind(render(*arguments), "Deployment"):
        pod = deployment["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"] + pod.get("initContainers", []):
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False
            assert security["readOnlyRootFilesystem"] is True
            assert security["capabilities"] == {"drop": ["ALL"]}


def test_one_operator_at_a_time() -> None:
    operator = next(each for each in of_kind(render(), "Deployment") if each["metadata"]["name"] == "pfd")
    assert operator["spec"]["replicas"] == 1
    assert operator["spec"]["strategy"] == {"type": "Recreate"}


def test_values_are_checked() -> None:
    command = [
        str(HELM),
        "template",
        "pfd",
        str(ROOT / "charts/pfd-operator"),
        "--kube-version",
        "1.34.0",
        "--set",
        "operator.worker=3",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "worker" in done.stderr

"""What the chart's templates give: least privilege, restricted pods, and nothing left out."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from pfd_operator.api.kinds import KINDS
from tests.chart_rendering import CHART, ROOT, of_kind, refusal, render


def test_crds_are_those_of_the_repository_and_are_kept() -> None:
    sources = {path.name: yaml.safe_load(path.read_text()) for path in (ROOT / "crds").glob("*.yaml")}
    crds = of_kind(render(), "CustomResourceDefinition")
    assert {crd["metadata"]["name"] for crd in crds} == {source["metadata"]["name"] for source in sources.values()}
    for crd in crds:
        group, plural = crd["spec"]["group"], crd["spec"]["names"]["plural"]
        assert crd["spec"] == sources[f"{group}_{plural}.yaml"]["spec"]
        assert crd["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert not of_kind(render("--set", "crds.enabled=false"), "CustomResourceDefinition")


def test_a_copy_without_its_link_to_the_definitions_is_refused(tmp_path: Path) -> None:
    chart = tmp_path / "chart"
    shutil.copytree(CHART, chart, symlinks=True)
    (chart / "files/crds").unlink()
    said = refusal(chart=chart)
    assert "no CustomResourceDefinitions" in said
    assert "helm package" in said and "crds.enabled=false" in said
    assert render("--set", "crds.enabled=false", chart=chart)


def test_what_others_keep_in_a_namespace_is_not_listed() -> None:
    (rule,) = (
        rule
        for role in of_kind(render("--set", "namespaces={a}"), "Role")
        for rule in role["rules"]
        if "configmaps" in rule["resources"]
    )
    assert set(rule["verbs"]) == {"get", "create"}


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
    assert "worker" in refusal("--set", "operator.worker=3")


@pytest.mark.parametrize(
    "value",
    [
        'operator.podAnnotations={"prometheus.io/port":8081}',
        'operator.nodeSelector={"gpu":true}',
        's3.nodeSelector={"gpu":true}',
    ],
)
def test_a_number_or_a_truth_where_kubernetes_takes_words_is_refused_by_name(value: str) -> None:
    said = refusal("--set-json", value)
    assert "want string" in said and value.partition("=")[0].replace(".", "/") in said


@pytest.mark.parametrize("arguments", [(), ("--set", "namespaces={a,b}")])
def test_both_kinds_have_the_same_rights(arguments: tuple[str, ...]) -> None:
    documents = render(*arguments)
    roles = of_kind(documents, "ClusterRole") + of_kind(documents, "Role")
    for role in roles:
        rights = {
            (resource, verb) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]
        }
        of_one, of_other = (
            {(resource.removeprefix(plural), verb) for resource, verb in rights if resource.startswith(plural)}
            for plural in ("finetunejobs", "distilljobs")
        )
        assert of_one == of_other
        if role["metadata"]["name"] == "pfd":
            assert of_one == {("", "get"), ("", "list"), ("", "watch"), ("/status", "patch")}


def test_namespaced_mode_grants_in_each_namespace_what_the_whole_cluster_would_get() -> None:
    documents = render("--set", "namespaces={a,b}")
    (whole,) = (each for each in of_kind(render(), "ClusterRole") if each["metadata"]["name"] == "pfd")
    for namespace in ("a", "b"):
        (role,) = (each for each in of_kind(documents, "Role") if each["metadata"].get("namespace") == namespace)
        (binding,) = (
            each for each in of_kind(documents, "RoleBinding") if each["metadata"].get("namespace") == namespace
        )
        assert role["rules"] == whole["rules"]
        assert binding["roleRef"]["name"] == role["metadata"]["name"]
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "pfd", "namespace": "pfd-system"}]
    operator = next(each for each in of_kind(documents, "Deployment") if each["metadata"]["name"] == "pfd")
    (container,) = operator["spec"]["template"]["spec"]["containers"]
    assert {"name": "PFD_NAMESPACES", "value": "a,b"} in container["env"]


def aggregated(documents: list[dict[str, Any]]) -> dict[str, dict[str, set[str]]]:
    """Return what each of Kubernetes' own roles gains: verbs by resource."""
    gained: dict[str, dict[str, set[str]]] = {"view": {}, "edit": {}, "admin": {}}
    for role in of_kind(documents, "ClusterRole"):
        for name, rights in gained.items():
            if role["metadata"]["labels"].get(f"rbac.authorization.k8s.io/aggregate-to-{name}") == "true":
                for rule in role["rules"]:
                    for resource in rule["resources"]:
                        rights.setdefault(resource, set()).update(rule["verbs"])
    return gained


def test_who_may_edit_a_namespace_may_use_jobs_and_who_may_view_it_sees_them() -> None:
    see = {"get", "list", "watch"}
    change = {"create", "update", "patch", "delete", "deletecollection"}
    plurals = [kind.plural for kind in KINDS.values()]
    gained = aggregated(render())
    assert gained["view"] == dict.fromkeys(plurals, see)
    assert gained["edit"] == gained["admin"] == dict.fromkeys(plurals, see | change)
    for off in ("rbac.aggregate=false", "namespaces={lab}"):
        assert not any(aggregated(render("--set", off)).values())


def test_the_operators_pod_has_what_is_asked_for_and_keeps_its_own_labels() -> None:
    labels = "operator.podLabels.team=ml,operator.podLabels.app\\.kubernetes\\.io/name=other"
    others = "operator.podAnnotations.note=x,operator.priorityClassName=high,operator.nodeSelector.disk=ssd"
    documents = of_kind(render("--set", f"{labels},{others}"), "Deployment")
    (operator,) = (each["spec"] for each in documents if each["metadata"]["name"] == "pfd")
    template = operator["template"]
    assert template["metadata"]["labels"]["team"] == "ml"
    assert operator["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    assert template["metadata"]["annotations"] == {"note": "x"}
    assert template["spec"]["priorityClassName"] == "high"
    assert template["spec"]["nodeSelector"] == {"disk": "ssd"}


def test_no_service_beside_it_sets_variables_of_a_pod() -> None:
    documents = render("--set", "s3.enabled=true")
    pods = [each["spec"]["template"]["spec"] for each in of_kind(documents, "Deployment") + of_kind(documents, "Job")]
    assert [pod["enableServiceLinks"] for pod in pods] == [False] * 3


def test_every_pod_of_the_release_gets_the_pull_secrets() -> None:
    documents = render("--set", "s3.enabled=true,images.pullSecrets[0].name=registry")
    pods = [each["spec"]["template"]["spec"] for kind in ("Deployment", "Job") for each in of_kind(documents, kind)]
    assert len(pods) == 3
    assert all(pod["imagePullSecrets"] == [{"name": "registry"}] for pod in pods)


@pytest.mark.parametrize("release", ["2pfd", "pfd.lab"])
def test_a_release_whose_service_kubernetes_would_refuse_is_refused_in_words(release: str) -> None:
    assert f"the release is named {release}, and so would be its Service" in refusal(release=release)


@pytest.mark.parametrize("image", ["operator", "worker", "s3"])
def test_no_image_comes_from_where_nobody_said(image: str) -> None:
    said = refusal("--set", f"s3.enabled=true,images.{image}=")
    assert f"images.{image} is not set" in said
    assert "registry" in said
    (engines,) = (
        each["value"]
        for deployment in of_kind(render(), "Deployment")
        for each in deployment["spec"]["template"]["spec"]["containers"][0]["env"]
        if each["name"] == "PFD_ENGINE_IMAGES"
    )
    assert engines == "{}"

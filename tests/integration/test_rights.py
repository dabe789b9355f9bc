"""The chart grants what the operator uses, and nothing else: the API server's audit log against the chart's rules."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from pfd_operator.kube.api import MERGE_PATCH, ApiError, KubeApi
from pfd_operator.kube.resources import collection_path
from pfd_operator.runtime.handlers import run
from tests.chart.chart_rendering import render
from tests.integration.cluster_parts import distill_body
from tests.integration.one_operator import conditions_of, create, kubelet, settings_for, status_of
from tests.until import until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

Right = tuple[str, str, str]
"""Verb, API group, resource with its subresource."""

SYSTEM_NAMESPACE, ACCOUNT = "pfd-system", "pfd"
USER = f"system:serviceaccount:{SYSTEM_NAMESPACE}:{ACCOUNT}"
RARELY_USED: dict[Right, str] = {
    ("get", "batch", "jobs"): "an answer to its creation was lost",
    ("get", "", "configmaps"): "an answer to its creation was lost",
    ("get", "pfd.dev", "finetunejobs"): "a status write met a newer version",
    ("get", "pfd.dev", "distilljobs"): "a status write met a newer version",
    ("patch", "", "events"): "the same thing happened again",
}
SECURITY = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
CONTAINER = {"name": "c", "image": "i", "securityContext": SECURITY}
_POLICIES = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolic"
_COLLECTIONS = {
    "ValidatingAdmissionPolicy": f"{_POLICIES}ies",
    "ValidatingAdmissionPolicyBinding": f"{_POLICIES}ybindings",
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/roles",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings",
}


def granted(documents: Iterable[dict[str, Any]]) -> set[Right]:
    return {
        (verb, group, resource)
        for document in documents
        if document["kind"] == "Role" and document["metadata"]["name"].startswith(ACCOUNT)
        for rule in document["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def used(log: Path) -> tuple[set[Right], list[str]]:
    """Return what the operator asked for, and what was refused."""
    rights: set[Right] = set()
    refused: list[str] = []
    for line in log.read_text().splitlines():
        if USER not in line:
            continue
        event = json.loads(line)
        target = event.get("objectRef")
        if target is None or event["user"]["username"] != USER:
            continue
        if event.get("responseStatus", {}).get("code") == 403:
            refused.append(event["requestURI"])
        resource = "/".join(filter(None, (target["resource"], target.get("subresource"))))
        rights.add((event["verb"], target.get("apiGroup", ""), resource))
    return rights, refused


async def account_of(api: KubeApi, kubeconfig: Path, documents: Iterable[dict[str, Any]], folder: Path) -> Path:
    """Create the operator's account with the chart's rights; return a kubeconfig with its token."""
    with contextlib.suppress(ApiError):
        await api.request("POST", "/api/v1/namespaces", {"metadata": {"name": SYSTEM_NAMESPACE}})
    for document in documents:
        collection = _COLLECTIONS.get(document["kind"])
        if collection is not None and document["metadata"]["name"].startswith(ACCOUNT):
            place = document["metadata"].get("namespace", SYSTEM_NAMESPACE)
            await api.request("POST", collection.format(place), document)
    tokens = f"{_COLLECTIONS['ServiceAccount'].format(SYSTEM_NAMESPACE)}/{ACCOUNT}/token"
    token = (await api.request("POST", tokens, {"spec": {"expirationSeconds": 3600}}))["status"]["token"]
    config = yaml.safe_load(kubeconfig.read_text())
    config["users"] = [{"name": config["users"][0]["name"], "user": {"token": token}}]
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path


async def test_what_is_granted_is_used_and_what_is_used_is_granted(
    api: KubeApi, namespace: str, kubeconfig: Path, audit_log: Path, tmp_path: Path
) -> None:
    documents = render("--set", f"namespaces={{{namespace}}}", "--set", "admissionPolicy.enabled=true")
    account = await account_of(api, kubeconfig, documents, tmp_path)
    settings = settings_for(namespace, account)
    stop = asyncio.Event()
    # one in which it has no Role keeps it from nothing
    both = replace(settings, lease_name=ACCOUNT, own_namespace=SYSTEM_NAMESPACE, namespaces=(namespace, "elsewhere"))
    operator = asyncio.create_task(run(both, stop))
    path = f"{collection_path('FineTuneJob', namespace)}/silicon"

    async def reached(phase: str) -> bool:
        return (await status_of(api, namespace)).get("phase") == phase

    async def explores() -> bool:
        selector = {"labelSelector": "pfd.dev/stage=explore,pfd.dev/kind=FineTuneJob"}
        return bool((await api.request("GET", f"/apis/batch/v1/namespaces/{namespace}/jobs", query=selector))["items"])

    async with kubelet(api, namespace, seconds=0.5):
        # on two nodes, for which each training asks for a Service
        await create(api, namespace, training={"nodes": 2})
        await api.request("POST", collection_path("DistillJob", namespace), distill_body("light"))
        # a stage whose Job is there: between two there would be nothing to delete
        await until(explores)
        await api.request("PATCH", path, {"spec": {"suspend": True}}, content_type=MERGE_PATCH)
        await until(lambda: reached("Suspended"), 30, "Suspended")
        await api.request("PATCH", path, {"spec": {"suspend": False}}, content_type=MERGE_PATCH)
        await until(lambda: reached("Converged"), 90, "Converged")
        assert conditions_of(await status_of(api, namespace))["Ready"]["status"] == "True"
    stop.set()
    assert await asyncio.wait_for(operator, 30)
    rights, refused = used(audit_log)
    assert refused and all("/namespaces/elsewhere/" in uri for uri in refused), refused
    assert rights <= granted(documents), rights - granted(documents)
    unused = granted(documents) - rights - RARELY_USED.keys()
    assert not unused, f"granted and not used: {sorted(unused)}"
    await refuses_what_the_operator_never_makes(account, namespace)
    await refuses_to_delete_what_is_not_its_own(api, account, namespace)


async def refuses_what_the_operator_never_makes(account: Path, namespace: str) -> None:
    """By the chart's ValidatingAdmissionPolicies, under which all of the above was made."""
    adds = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"], "add": ["SYS_ADMIN"]}}
    cases: list[tuple[dict[str, Any], bool, str]] = [
        ({}, False, "owns as its controller"),
        ({"automountServiceAccountToken": True}, True, "automountServiceAccountToken"),
        ({"serviceAccountName": "admin"}, True, "ServiceAccount default only"),
        ({"hostNetwork": True}, True, "namespaces of the node"),
        ({"volumes": [{"name": "node", "hostPath": {"path": "/"}}]}, True, "hostPath"),
        ({"securityContext": {}}, True, "runAsNonRoot"),
        (with_container(securityContext=SECURITY | {"runAsNonRoot": False}), True, "runAsNonRoot"),
        (with_container(securityContext=adds), True, "have no privileges"),
        (with_container(securityContext={"capabilities": {"drop": ["ALL"]}}), True, "have no privileges"),
        (with_container(ports=[{"containerPort": 80, "hostPort": 80}]), True, "ports of the node"),
        ({}, True, ""),
    ]
    api = await KubeApi.connect(account)
    try:
        for pod, owned, words in cases:
            said = await _said_of(api, namespace, pod, owned)
            assert words in said and bool(words) == bool(said), (pod, owned, said)
    finally:
        await api.close()


def with_container(**changes: Any) -> dict[str, Any]:
    return {"containers": [CONTAINER | changes]}


async def refuses_to_delete_what_is_not_its_own(api: KubeApi, account: Path, namespace: str) -> None:
    collection = f"/apis/batch/v1/namespaces/{namespace}/jobs"
    template = {"spec": {"restartPolicy": "Never", "containers": [CONTAINER]}}
    body = {"metadata": {"name": "of-others"}, "spec": {"suspend": True, "template": template}}
    await api.request("POST", collection, body)
    operator = await KubeApi.connect(account)
    try:
        for path in (f"{collection}/of-others", collection):
            with pytest.raises(ApiError) as refused:
                await operator.request("DELETE", path, {"propagationPolicy": "Background"}, {"dryRun": "All"})
            assert refused.value.status == 403 and "deletes only what" in refused.value.message
    finally:
        await operator.close()


async def _said_of(api: KubeApi, namespace: str, pod: dict[str, Any], owned: bool) -> str:
    """Return why a Job is refused; nothing if it is not. None is made."""
    kept = {"automountServiceAccountToken": False, "restartPolicy": "Never", "containers": [CONTAINER]}
    kept |= {"securityContext": {"runAsNonRoot": True}}
    owner = {"apiVersion": "pfd.dev/v1alpha1", "kind": "FineTuneJob", "name": "x", "uid": "1", "controller": True}
    metadata = {"name": "tried", "ownerReferences": [owner] if owned else []}
    body = {"metadata": metadata, "spec": {"template": {"spec": kept | pod}}}
    try:
        await api.send("POST", f"/apis/batch/v1/namespaces/{namespace}/jobs", body, {"dryRun": "All"})
    except ApiError as error:
        assert error.status == 403, error
        return error.message
    return ""

"""The chart's ValidatingAdmissionPolicies let the operator make what it draws, and nothing with rights of its own."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pfd_operator.kube.api import KubeApi
from tests.chart_rendering import ROOT, render
from tests.integration.asking import said_to
from tests.integration.operator_account import ADMISSION, USER, account_of
from tests.until import until

pytestmark = pytest.mark.timeout(60)

NAMESPACE = f"{ADMISSION}-{secrets.token_hex(4)}"
STAGE_ACCOUNT = "pfd-stages"
GOLDEN = sorted((ROOT / "tests/unit/operator/render/golden").glob("*.yaml"))
"""What the operator draws, as it is kept for its own tests."""
COLLECTIONS = {"Job": "apis/batch/v1", "Service": "api/v1", "ConfigMap": "api/v1"}
POD_SECURITY = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
UNCONFINED = {"type": "Unconfined"}
SECURITY = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
CONTAINER = {"name": "c", "image": "i", "securityContext": SECURITY}
ADDS = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"], "add": ["SYS_ADMIN"]}}
TOKEN = {"name": "token", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}


def collection_of(kind: str) -> str:
    return f"/{COLLECTIONS[kind]}/namespaces/{NAMESPACE}/{kind.lower()}s"


@pytest.fixture(scope="module")
async def account(
    kubeconfig: Path, _definitions: None, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Path]:
    """The kubeconfig of the operator's account, once the policies are in force."""
    folder = tmp_path_factory.mktemp("account")
    values = (
        f"namespaces={{{NAMESPACE}}}",
        f"stages.serviceAccountName={STAGE_ACCOUNT}",
    )
    documents = render(*(argument for value in values for argument in ("--set", value)))
    api = await KubeApi.connect(kubeconfig)
    await api.request("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    try:
        async with account_of(api, kubeconfig, documents, folder) as path:
            operator = await KubeApi.connect(path)

            async def in_force() -> bool:
                refused = await said_of(operator, {}, owned=False) and await said_of(operator, {"hostPID": True})
                return bool(refused) and not await said_of(operator, {"serviceAccountName": STAGE_ACCOUNT})

            await until(in_force)
            await operator.close()
            yield path
    finally:
        await api.request("DELETE", f"/api/v1/namespaces/{NAMESPACE}")
        await api.close()


@pytest.fixture
async def operator(account: Path) -> AsyncIterator[KubeApi]:
    client = await KubeApi.connect(account)
    yield client
    await client.close()


async def said_of(
    api: KubeApi, pod: dict[str, Any], owned: bool = True, annotations: dict[str, str] | None = None
) -> str:
    """Return why a Job is refused; nothing if it is not. None is made."""
    kept = {"automountServiceAccountToken": False, "restartPolicy": "Never", "containers": [CONTAINER]}
    kept |= {"securityContext": POD_SECURITY}
    template = {"metadata": {"annotations": annotations or {}}, "spec": kept | pod}
    return await said_of_any(api, collection_of("Job"), {"template": template}, owned)


async def said_of_any(api: KubeApi, collection: str, spec: dict[str, Any], owned: bool = True) -> str:
    owner = {"apiVersion": "pfd.dev/v1alpha1", "kind": "FineTuneJob", "name": "x", "uid": "1", "controller": True}
    metadata = {"name": "tried", "ownerReferences": [owner] if owned else []}
    return await said_to(api, "POST", f"{collection}?dryRun=All", {"metadata": metadata, "spec": spec}, 403)


def with_container(**changes: Any) -> dict[str, Any]:
    return {"containers": [CONTAINER | changes]}


def with_init_container(**changes: Any) -> dict[str, Any]:
    return {"initContainers": [CONTAINER | {"name": "before"} | changes]}


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "token": ({"automountServiceAccountToken": True}, "automountServiceAccountToken"),
    "projected token": ({"volumes": [TOKEN]}, "without tokens of a ServiceAccount"),
    "account": ({"serviceAccountName": "admin"}, f"ServiceAccount default or {STAGE_ACCOUNT} only"),
    "host network": ({"hostNetwork": True}, "namespaces of the node"),
    "host processes": ({"hostPID": True}, "namespaces of the node"),
    "host IPC": ({"hostIPC": True}, "namespaces of the node"),
    "host path": ({"volumes": [{"name": "node", "hostPath": {"path": "/"}}]}, "are emptyDir"),
    "disk of the network": ({"volumes": [{"name": "nfs", "nfs": {"server": "s", "path": "/"}}]}, "are emptyDir"),
    "claim": ({"volumes": [{"name": "c", "persistentVolumeClaim": {"claimName": "c"}}]}, "are emptyDir"),
    "driver": ({"volumes": [{"name": "c", "csi": {"driver": "d"}}]}, "are emptyDir"),
    "node": ({"nodeName": "control-plane"}, "name no node"),
    "priority": ({"priorityClassName": "system-node-critical"}, "no priority class of the system"),
    "no seccomp": ({"securityContext": {"runAsNonRoot": True}}, "seccomp"),
    "seccomp": ({"securityContext": POD_SECURITY | {"seccompProfile": UNCONFINED}}, "seccomp"),
    "seccomp of a container": (with_container(securityContext=SECURITY | {"seccompProfile": UNCONFINED}), "seccomp"),
    "AppArmor": ({"securityContext": POD_SECURITY | {"appArmorProfile": UNCONFINED}}, "no other security profiles"),
    "root": ({"securityContext": POD_SECURITY | {"runAsNonRoot": False}}, "runAsNonRoot"),
    "root in a container": (with_container(securityContext=SECURITY | {"runAsNonRoot": False}), "runAsNonRoot"),
    "privileged": (with_container(securityContext={"privileged": True}), "have no privileges"),
    "added capabilities": (with_container(securityContext=ADDS), "have no privileges"),
    "privileges to get": (with_container(securityContext={"capabilities": {"drop": ["ALL"]}}), "have no privileges"),
    "kept capabilities": (with_container(securityContext={"allowPrivilegeEscalation": False}), "have no privileges"),
    "bare /proc": (
        {**with_container(securityContext=SECURITY | {"procMount": "Unmasked"}), "hostUsers": False},
        "have no privileges",
    ),
    "host port": (with_container(ports=[{"containerPort": 80, "hostPort": 80}]), "ports of the node"),
    **{
        kind: (with_container(**{kind: {"httpGet": {"host": "169.254.169.254", "port": 80}}}), "no probes")
        for kind in ("livenessProbe", "readinessProbe", "startupProbe")
    },
    "hook": (with_container(lifecycle={"postStart": {"httpGet": {"host": "127.0.0.1", "port": 80}}}), "no probes"),
    "privileged before": (with_init_container(securityContext={"privileged": True}), "have no privileges"),
    "root before": (with_init_container(securityContext=SECURITY | {"runAsNonRoot": False}), "runAsNonRoot"),
    "host port before": (with_init_container(ports=[{"containerPort": 80, "hostPort": 80}]), "ports of the node"),
}


@pytest.mark.parametrize(("pod", "words"), REFUSED.values(), ids=REFUSED)
async def test_what_the_operator_never_makes_is_refused(operator: KubeApi, pod: dict[str, Any], words: str) -> None:
    assert words in await said_of(operator, pod)


async def test_annotations_give_no_security_profile_either(operator: KubeApi) -> None:
    """The API server makes a field of this one, once the pod is created."""
    annotations = {"container.apparmor.security.beta.kubernetes.io/c": "unconfined"}
    assert "no other security profiles" in await said_of(operator, {}, annotations=annotations)


@pytest.mark.parametrize(
    "spec",
    [{}, {"type": "LoadBalancer"}, {"type": "ExternalName", "externalName": "a.b"}, {"externalIPs": ["192.0.2.1"]}],
    ids=["with an address", "of a load balancer", "of another name", "with an address of the node"],
)
async def test_services_are_headless(operator: KubeApi, spec: dict[str, Any]) -> None:
    ports = {"ports": [{"port": 80}]}
    assert "are headless" in await said_of_any(operator, collection_of("Service"), ports | spec)
    headless = {"clusterIP": "None", "externalIPs": ["192.0.2.1"]}
    assert "are headless" in await said_of_any(operator, collection_of("Service"), ports | headless)


async def test_namespaces_of_kubernetes_itself_are_left_alone(api: KubeApi, operator: KubeApi) -> None:
    """Where it serves the whole cluster, its rights are there, too."""
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "admin"}
    binding = {"metadata": {"name": ADMISSION}, "roleRef": role, "subjects": [{"kind": "User", "name": USER}]}
    bindings = "/apis/rbac.authorization.k8s.io/v1/namespaces/kube-public/rolebindings"
    await api.request("POST", bindings, binding)

    async def allowed() -> bool:
        return "namespaces of Kubernetes itself" in await said_of_any(
            operator, "/api/v1/namespaces/kube-public/services", {"clusterIP": "None"}
        )

    try:
        await until(allowed)
    finally:
        await api.request("DELETE", f"{bindings}/{ADMISSION}")


async def test_a_job_without_an_owner_is_refused(operator: KubeApi) -> None:
    assert "as its controller" in await said_of(operator, {}, owned=False)


@pytest.mark.parametrize(
    "pod", [{}, {"serviceAccountName": STAGE_ACCOUNT}, with_init_container()], ids=["plain", "account", "before"]
)
async def test_what_is_harmless_is_not(operator: KubeApi, pod: dict[str, Any]) -> None:
    assert await said_of(operator, pod) == ""


@pytest.mark.parametrize("drawn", GOLDEN, ids=lambda path: path.stem)
async def test_what_the_operator_draws_is_let_in(operator: KubeApi, drawn: Path) -> None:
    manifest = yaml.safe_load(drawn.read_text())
    manifest["metadata"]["namespace"] = NAMESPACE
    await operator.send("POST", collection_of(manifest["kind"]), manifest, {"dryRun": "All"})


async def test_what_is_not_its_own_is_not_deleted(api: KubeApi, operator: KubeApi) -> None:
    collection = collection_of("Job")
    template = {"spec": {"restartPolicy": "Never", "containers": [CONTAINER]}}
    body = {"metadata": {"name": "of-others"}, "spec": {"suspend": True, "template": template}}
    await api.request("POST", collection, body)
    for path, words in ((f"{collection}/of-others", "deletes only what"), (collection, "cannot deletecollection")):
        assert words in await said_to(operator, "DELETE", path, {"dryRun": ["All"]}, 403)

"""Which configuration is used, and what is said of one that cannot be."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import kubernetes.aio.config
import pytest
from aiohttp import web

from pfd_operator.kube import api as api_module
from pfd_operator.kube.api import ApiError, KubeApi

CLUSTER = {"server": "https://cluster.test"}


def kubeconfig(**changes: Any) -> str:
    contexts = [
        {"name": name, "context": {"cluster": "c", "user": "u", "namespace": name}} for name in ("lab", "other")
    ]
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "lab",
        "users": [{"name": "u", "user": {}}],
        "clusters": [{"name": "c", "cluster": CLUSTER}],
        "contexts": contexts,
    }
    return json.dumps({**config, **changes})


async def namespace_of(path: Path | None, context: str | None = None) -> str | None:
    api = await KubeApi.connect(path, context)
    await api.close()
    return api.default_namespace


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "kubeconfig"


async def test_the_context_is_the_one_asked_for_also_without_a_current_one(config: Path) -> None:
    config.write_text(kubeconfig())
    assert (await namespace_of(config), await namespace_of(config, "other")) == ("lab", "other")
    config.write_text(kubeconfig(**{"current-context": ""}))
    assert await namespace_of(config, "other") == "other"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [b", "while parsing"),
        ("", "it is empty, or no kubeconfig"),
        ("[1]", "it is empty, or no kubeconfig"),
        (kubeconfig(**{"current-context": "gone"}), "gone"),
        (kubeconfig(clusters=[{"name": "c", "cluster": {**CLUSTER, "certificate-authority-data": "eA=="}}]), "cert"),
    ],
)
async def test_a_broken_one_is_named_and_explained_in_a_line(config: Path, text: str, said: str) -> None:
    config.write_text(text)
    with pytest.raises(ApiError) as refused:
        await KubeApi.connect(config)
    assert refused.value.message.startswith(f"cannot connect to Kubernetes by {config}: ")
    assert said in refused.value.message
    assert "\n" not in refused.value.message


async def test_in_a_pod_the_variable_comes_before_the_service_account(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text(kubeconfig())
    monkeypatch.setattr(api_module, "SERVICE_ACCOUNT", tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(config))
    assert await namespace_of(None) == "lab"
    monkeypatch.setenv("KUBECONFIG", "")
    with pytest.raises(ApiError, match="Service host/port is not set"):
        await namespace_of(None)


@pytest.mark.parametrize(("files", "namespace"), [({"namespace": "lab\n"}, "lab"), ({}, None)])
async def test_in_a_pod_its_own_namespace_is_meant(
    files: dict[str, str], namespace: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(api_module, "SERVICE_ACCOUNT", tmp_path)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setattr(kubernetes.aio.config, "load_incluster_config", lambda client_configuration: None)
    assert await namespace_of(None) == namespace


class Cluster:
    """An API server that takes one token at a time, and a kubeconfig whose program prints what there is."""

    def __init__(self, folder: Path) -> None:
        self.good = ""
        self.asked = 0
        self.address = ""
        self.held, self.free = asyncio.Event(), asyncio.Event()
        """When /slow is asked for, and until when it has no answer."""
        self.printed, self.kubeconfig = folder / "token", folder / "kubeconfig"
        credential = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential"}
        status = json.dumps({**credential, "status": {"token": "%s"}})
        script = f"""[ -s '{self.printed}' ] && printf '{status}' "$(cat '{self.printed}')\""""
        self.command = {"apiVersion": credential["apiVersion"], "command": "sh", "args": ["-c", script]}

    def choose(self, context: str) -> None:
        users = [{"name": "u", "user": {"exec": self.command}}]
        addresses = {"lab": self.address, "other": "http://127.0.0.1:1"}
        clusters = [{"name": name, "cluster": {"server": address}} for name, address in addresses.items()]
        contexts = [{"name": name, "context": {"cluster": name, "user": "u"}} for name in addresses]
        changes = {"users": users, "clusters": clusters, "contexts": contexts, "current-context": context}
        self.kubeconfig.write_text(kubeconfig(**changes))

    async def answer(self, request: web.Request) -> web.Response:
        self.asked += 1
        if request.path == "/slow":
            self.held.set()
            await self.free.wait()
        if request.headers.get("Authorization") != f"Bearer {self.good}":
            return web.json_response({"reason": "Unauthorized", "message": "Unauthorized"}, status=401)
        return web.json_response({"kind": "Status"})

    def issue(self, token: str) -> None:
        self.printed.write_text(token)

    def renew(self, token: str) -> None:
        self.issue(token)
        self.good = token


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    cluster = Cluster(tmp_path)
    app = web.Application()
    app.router.add_get("/{path:.*}", cluster.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0]
    cluster.address = f"http://{host}:{port}"
    cluster.choose("lab")
    yield cluster
    await runner.cleanup()


@pytest.fixture
async def connected(cluster: Cluster) -> AsyncIterator[KubeApi]:
    cluster.renew("first")
    api = await KubeApi.connect(cluster.kubeconfig)
    yield api
    await api.close()


async def test_a_token_that_expires_is_replaced_by_the_one_that_there_is_then(
    cluster: Cluster, connected: KubeApi
) -> None:
    await connected.request("GET", "/api")
    cluster.renew("second")
    assert await connected.request("GET", "/api") == {"kind": "Status"}
    cluster.renew("third")
    assert [line async for line in connected.lines("/api", {}, 10)] == [b""]
    assert cluster.asked == 5, "two requests are sent twice"


async def test_a_token_that_another_request_had_renewed_meanwhile_is_taken(
    cluster: Cluster, connected: KubeApi
) -> None:
    slow = asyncio.create_task(connected.request("GET", "/slow"))
    await cluster.held.wait()
    cluster.renew("second")
    await connected.request("GET", "/api")
    cluster.free.set()
    assert await slow == {"kind": "Status"}


async def test_a_token_is_renewed_of_the_cluster_it_began_with(cluster: Cluster, connected: KubeApi) -> None:
    cluster.renew("second")
    cluster.choose("other")
    assert await connected.request("GET", "/api") == {"kind": "Status"}


@pytest.mark.parametrize("then", ["first", "second", ""], ids=["the same", "another", "none"])
async def test_who_is_unknown_with_what_there_is_hears_so(cluster: Cluster, then: str) -> None:
    cluster.issue("first")
    api = await KubeApi.connect(cluster.kubeconfig)
    try:
        cluster.issue(then)
        with pytest.raises(ApiError, match="Unauthorized") as refused:
            await api.request("GET", "/api")
        assert refused.value.status == 401
        assert cluster.asked == (2 if then == "second" else 1)
    finally:
        await api.close()

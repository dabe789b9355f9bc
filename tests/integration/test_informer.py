"""The informer follows a real API server through everything that happens to watches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import yaml

from pfd_operator.kube.api import KubeApi
from pfd_operator.kube.informer import Informer, Watched
from pfd_operator.kube.owner import Owner
from pfd_operator.kube.resources import collection_path
from tests.integration.cable import Cable
from tests.job_specs import job_body
from tests.until import until


@dataclass(frozen=True)
class Seen:
    key: tuple[str, str]
    owner: Owner
    value: str


def parse(item: Mapping[str, Any]) -> Seen | None:
    metadata = item["metadata"]
    return Seen((metadata["namespace"], metadata["name"]), Owner("lab", "uid"), item.get("data", {}).get("value", ""))


@asynccontextmanager
async def running(
    api: KubeApi, namespace: str, silence_seconds: float = 90, path: str | None = None
) -> AsyncIterator[Informer[Seen]]:
    watched = Watched(path or f"/api/v1/namespaces/{namespace}/configmaps", "pfd.dev/kind", parse)
    informer = Informer(api, watched, lambda item, before: None, silence_seconds)
    task = asyncio.create_task(informer.run())
    await asyncio.wait_for(informer.synced.wait(), 10)
    try:
        yield informer
    finally:
        task.cancel()


async def put(api: KubeApi, namespace: str, name: str, value: str = "", labels: dict[str, str] | None = None) -> None:
    metadata = {"name": name, "labels": {"pfd.dev/kind": "x"} if labels is None else labels}
    await api.request(
        "POST", f"/api/v1/namespaces/{namespace}/configmaps", {"metadata": metadata, "data": {"value": value}}
    )


async def drop(api: KubeApi, namespace: str, name: str) -> None:
    await api.request("DELETE", f"/api/v1/namespaces/{namespace}/configmaps/{name}")


@asynccontextmanager
async def cabled(kubeconfig: Path, folder: Path) -> AsyncIterator[tuple[Cable, KubeApi]]:
    """A client whose connections can be cut."""
    config = yaml.safe_load(kubeconfig.read_text())
    cluster = config["clusters"][0]["cluster"]
    cable = Cable(urlparse(cluster["server"]).port or 443)
    cluster["server"] = f"https://127.0.0.1:{await cable.plug()}"
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    api = await KubeApi.connect(path)
    yield cable, api
    await api.close()
    await cable.unplug()


async def test_follows_changes_of_its_label_only(api: KubeApi, namespace: str) -> None:
    await put(api, namespace, "before")
    async with running(api, namespace) as informer:
        assert len(informer) == 1
        await put(api, namespace, "foreign", labels={})
        await put(api, namespace, "large", "x" * 900_000)
        await until(lambda: informer.get(namespace, "large"))
        await drop(api, namespace, "before")
        await until(lambda: informer.get(namespace, "before") is None)
        assert [item.key[1] for item in informer.owned_by(Owner("lab", "uid"))] == ["large"]


async def test_survives_cut_watches(api: KubeApi, namespace: str, kubeconfig: Path, tmp_path: Path) -> None:
    async with cabled(kubeconfig, tmp_path) as (cable, breakable), running(breakable, namespace) as informer:
        for number in range(5):
            await put(api, namespace, f"n{number}")
            await until(lambda name=f"n{number}": informer.get(namespace, name))
            cable.cut()
        await drop(api, namespace, "n0")
        await until(lambda: informer.get(namespace, "n0") is None)
        # it went on where it was: nothing was listed anew
        assert informer.relists == 1
        assert len(informer) == 4


async def test_notices_a_watch_that_went_silent(api: KubeApi, namespace: str, kubeconfig: Path, tmp_path: Path) -> None:
    async with (
        cabled(kubeconfig, tmp_path) as (cable, breakable),
        running(breakable, namespace, silence_seconds=0.5) as informer,
    ):
        cable.frozen.set()
        await put(api, namespace, "unheard")
        await asyncio.sleep(0.3)
        assert informer.get(namespace, "unheard") is None
        cable.frozen.clear()
        await until(lambda: informer.get(namespace, "unheard"))


async def test_lists_anew_after_410(api: KubeApi, namespace: str, kubeconfig: Path, tmp_path: Path) -> None:
    # the server's memory of custom resources begins when they are defined: version 1 is before that, hence expired
    collection = collection_path("FineTuneJob", namespace)
    labels = {"pfd.dev/kind": "x"}
    await api.request("POST", collection, job_body("gone-meanwhile", labels=labels))
    async with (
        cabled(kubeconfig, tmp_path) as (cable, breakable),
        running(breakable, namespace, path=collection) as informer,
    ):
        await api.request("POST", collection, job_body("watched", labels=labels))
        await until(lambda: informer.get(namespace, "watched"))
        informer._version = "1"
        cable.cut()
        await api.request("DELETE", f"{collection}/gone-meanwhile")
        await api.request("POST", collection, job_body("new", labels=labels))
        await until(lambda: informer.get(namespace, "new"))
        assert informer.get(namespace, "gone-meanwhile") is None
        assert informer.relists == 2

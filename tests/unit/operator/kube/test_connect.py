"""Which configuration is used, and what is said of one that cannot be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

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

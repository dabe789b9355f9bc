"""The policy of the docs by which a group may suspend and stop jobs, and neither change nor delete them."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml

from pfd_operator.api.kinds import KINDS
from pfd_operator.kube.api import KubeApi
from pfd_operator.kube.resources import collection_path
from tests.integration.asking import said_to
from tests.integration.policies import in_force
from tests.job_specs import distill_body, job_body

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
FREE = {"suspend", "stop"}
NOBODY = {"apiVersion": "v1", "kind": "ConfigMap", "name": "none", "uid": "00000000-0000-4000-8000-000000000000"}


def shown(group: str) -> list[dict[str, Any]]:
    """Return the documents that the page shows, for another group."""
    (block,) = [each for each in re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.S) if "stop-only" in each]
    return list(yaml.safe_load_all(textwrap.dedent("  " + block.lstrip()).replace('"on-call"', f'"{group}"')))


def test_it_names_all_other_fields() -> None:
    policy = shown("on-call")[0]["spec"]["validations"][0]["expression"]
    fields = {alias for kind in KINDS.values() for alias in (each.alias for each in kind.spec.model_fields.values())}
    for side in ("new", "old"):
        assert set(re.findall(rf"variables\.{side}\.\??(\w+)", policy)) == fields - FREE


@pytest.mark.parametrize("make", [job_body, distill_body])
async def test_it_lets_jobs_be_suspended_and_nothing_else(api: KubeApi, namespace: str, make: Any) -> None:
    body = make("silicon")
    path = f"{collection_path(body['kind'], namespace)}/{body['metadata']['name']}"
    await api.request("POST", collection_path(body["kind"], namespace), body)
    documents = shown("system:masters")

    async def refused(metadata: dict[str, Any] | None = None, **spec: Any) -> str:
        return await said_to(api, "PATCH", f"{path}?dryRun=All", {"metadata": metadata or {}, "spec": spec})

    async def holds() -> bool:
        return "spec.suspend and spec.stop only" in await refused(seed=7)

    async with in_force(api, documents, holds):
        assert await refused(suspend=True) == await refused(stop="Now") == ""
        for metadata in (
            {"ownerReferences": [NOBODY]},
            {"finalizers": ["example.org/never"]},
            {"labels": {"app.kubernetes.io/instance": "pruned"}},
            {"annotations": {"argocd.argoproj.io/tracking-id": "pruned"}},
        ):
            assert "no metadata" in await refused(metadata, suspend=True)
        assert await refused(queue={"name": "gpus"}) and await refused(pods={"train": {"runtimeClassName": "runc"}})

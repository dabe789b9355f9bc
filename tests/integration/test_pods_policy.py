"""The page's policy keeps jobs to the administrator's defaults of stage pods, as a real API server enforces it."""

from __future__ import annotations

import re
import textwrap
from collections.abc import AsyncIterator
from typing import Any

import pytest
import yaml

from pfd_operator.kube.api import MERGE_PATCH, KubeApi
from pfd_operator.kube.resources import collection_path
from tests.chart_rendering import ROOT
from tests.integration.asking import said_to, said_to_job
from tests.integration.policies import in_force
from tests.job_specs import job_body

RUNC = {"train": {"runtimeClassName": "runc"}}


def shown_policy() -> list[dict[str, Any]]:
    page = (ROOT / "docs/operations.md").read_text()
    blocks = re.findall(r"^  ```yaml\n(.*?)^  ```", page, re.M | re.S)
    documents = (each for block in blocks for each in yaml.safe_load_all(textwrap.dedent(block)))
    return [each for each in documents if each.get("metadata", {}).get("name") == "pfd-pods"]


@pytest.fixture
async def kept(api: KubeApi, namespace: str) -> AsyncIterator[str]:
    """A namespace with a job of before, and with the policy since."""
    await api.request("POST", collection_path("FineTuneJob", namespace), job_body("before", pods=RUNC))
    policy, binding = shown_policy()
    labels = {"kubernetes.io/metadata.name": namespace}
    binding["spec"]["matchResources"] = {"namespaceSelector": {"matchLabels": labels}}

    async def holds() -> bool:
        return bool(await said_to_job(api, namespace, "FineTuneJob", 422, pods=RUNC))

    async with in_force(api, [policy, binding], holds):
        yield namespace


@pytest.mark.parametrize("kind", ["FineTuneJob", "DistillJob"])
async def test_what_a_job_may_not_say_otherwise(api: KubeApi, kept: str, kind: str) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({}, ""),
        ({"train": {"resources": {"limits": {"cpu": 4}}, "nodeSelector": {"disk": "ssd"}}}, ""),
        ({"explore": {"priorityClassName": "batch-low"}}, ""),
        (RUNC, "leave runtimeClassName out"),
        ({"label": {"tolerations": [{"operator": "Exists"}]}}, "leave tolerations out"),
        ({"select": {"nodeSelector": {"pool": "gpu"}}}, "nodeSelector may not name pool"),
        ({"prepare": {"priorityClassName": "system-node-critical"}}, "may be batch-low only"),
    ]
    for pods, words in cases:
        said = await said_to_job(api, kept, kind, 422, pods=pods)
        assert words in said and bool(words) == bool(said), (pods, said)


async def test_jobs_of_before_may_change_in_all_else(api: KubeApi, kept: str) -> None:
    path = f"{collection_path('FineTuneJob', kept)}/before"
    await api.request("PATCH", path, {"spec": {"suspend": True}}, content_type=MERGE_PATCH)
    more = {"pods": {"train": {"runtimeClassName": None, "tolerations": [{"operator": "Exists"}]}}}
    assert "leave tolerations out" in await said_to(api, "PATCH", path, {"spec": more})

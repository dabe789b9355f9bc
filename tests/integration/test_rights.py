"""The chart grants what the operator uses, and nothing else: the API server's audit log against the chart's rules."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pfd_operator.kube.api import MERGE_PATCH, KubeApi
from pfd_operator.kube.resources import collection_path
from pfd_operator.runtime.handlers import run
from tests.chart_rendering import render
from tests.integration.one_operator import conditions_of, create, kubelet, settings_for, status_of
from tests.integration.operator_account import ACCOUNT, ADMISSION, SYSTEM_NAMESPACE, USER, account_of
from tests.job_specs import distill_body
from tests.until import until

pytestmark = pytest.mark.timeout(180)

Right = tuple[str, str, str]
"""Verb, API group, resource with its subresource."""

RARELY_USED: dict[Right, str] = {
    ("get", "batch", "jobs"): "an answer to its creation was lost",
    ("get", "", "configmaps"): "an answer to its creation was lost",
    ("get", "pfd.dev", "finetunejobs"): "a status write met a newer version",
    ("get", "pfd.dev", "distilljobs"): "a status write met a newer version",
    ("patch", "", "events"): "the same thing happened again",
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
        if (
            target is None
            or event["user"]["username"] != USER
            or target.get("namespace", "").startswith((ADMISSION, "kube-"))
        ):
            continue
        if event.get("responseStatus", {}).get("code") == 403:
            refused.append(event["requestURI"])
        resource = "/".join(filter(None, (target["resource"], target.get("subresource"))))
        rights.add((event["verb"], target.get("apiGroup", ""), resource))
    return rights, refused


async def test_what_is_granted_is_used_and_what_is_used_is_granted(
    api: KubeApi, namespace: str, kubeconfig: Path, audit_log: Path, tmp_path: Path
) -> None:
    documents = render("--set", f"namespaces={{{namespace}}}")
    async with account_of(api, kubeconfig, documents, tmp_path) as account:
        settings = settings_for(namespace, account)
        stop = asyncio.Event()
        # one in which it has no Role keeps it from nothing
        both = replace(
            settings, lease_name=ACCOUNT, own_namespace=SYSTEM_NAMESPACE, namespaces=(namespace, "elsewhere")
        )
        operator = asyncio.create_task(run(both, stop))
        path = f"{collection_path('FineTuneJob', namespace)}/silicon"

        async def reached(phase: str) -> bool:
            return (await status_of(api, namespace)).get("phase") == phase

        async def explores() -> bool:
            selector = {"labelSelector": "pfd.dev/stage=explore,pfd.dev/kind=FineTuneJob"}
            return bool(
                (await api.request("GET", f"/apis/batch/v1/namespaces/{namespace}/jobs", query=selector))["items"]
            )

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

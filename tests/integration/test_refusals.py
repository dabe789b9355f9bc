"""Specs that nothing can be done with: conditions say why in the user's words, nothing runs, nothing crashes."""

from __future__ import annotations

from typing import Any

import pytest

from pfd_operator.api.conditions import ConditionType
from pfd_operator.kube.api import ApiError, KubeApi
from pfd_operator.kube.resources import Snapshot, collection_path
from pfd_operator.plan.conditions import find_condition
from pfd_operator.runtime.reconcile import Reconciler
from tests.integration.one_operator import create


async def read(api: KubeApi, namespace: str) -> Snapshot:
    return Snapshot(await api.request("GET", f"{collection_path('FineTuneJob', namespace)}/silicon"))


async def jobs(api: KubeApi, namespace: str) -> list[Any]:
    return list((await api.request("GET", f"/apis/batch/v1/namespaces/{namespace}/jobs"))["items"])


async def test_a_field_of_a_newer_schema_is_named(api: KubeApi, namespace: str, reconciler: Reconciler) -> None:
    body = (await create(api, namespace)).body
    # as after a downgrade of the operator below its CustomResourceDefinition
    body["spec"]["exploration"]["stages"][0]["thermostat"] = "Langevin"
    key = reconciler.store.keep(body)
    assert await reconciler.reconcile(key) is None
    (ready,) = [item for item in (await read(api, namespace)).status().conditions if item.type == "Ready"]
    assert (ready.status, ready.reason) == ("False", "SpecInvalid")
    assert "spec.exploration.stages[0].thermostat" in ready.message
    assert await jobs(api, namespace) == []


async def test_settings_too_large_for_a_job_are_refused_before_anything_is_intended(
    api: KubeApi, namespace: str, reconciler: Reconciler
) -> None:
    template = {"loss": {f"key{number}": "x" * 100 for number in range(200)}}
    key = reconciler.store.keep((await create(api, namespace, training={"template": template})).body)
    await reconciler.reconcile(key)
    status = (await read(api, namespace)).status()
    assert {item.reason for item in status.conditions} == {"SpecInvalid"}
    assert "spec.training" in status.conditions[0].message
    assert status.active is None
    assert await jobs(api, namespace) == []
    version = (await read(api, namespace)).version
    await reconciler.reconcile(key)
    assert (await read(api, namespace)).version == version, "the same refusal was written twice"


async def test_a_mistyped_affinity_is_named_and_places_no_pod(
    api: KubeApi, namespace: str, reconciler: Reconciler
) -> None:
    """Without it pods would run on any node: what the server does not know must not be dropped silently."""
    affinity = {"nodeAfinity": {}}
    key = reconciler.store.keep((await create(api, namespace, pods={"prepare": {"affinity": affinity}})).body)
    for _ in range(2):
        with pytest.raises(ApiError) as refused:
            await reconciler.reconcile(key)
        assert refused.value.status == 400
    stuck = find_condition((await read(api, namespace)).status(), ConditionType.STUCK)
    assert stuck is not None
    assert (stuck.status, stuck.reason) == ("True", "JobRefused")
    assert "spec.template.spec.affinity.nodeAfinity" in stuck.message
    assert await jobs(api, namespace) == []

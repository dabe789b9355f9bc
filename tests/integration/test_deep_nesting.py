"""A resource as deep as the API server lets it be: the operator goes on with the others, and says what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pfd_operator.kube.api import KubeApi
from pfd_operator.kube.kept import UNFIT
from pfd_operator.kube.resources import collection_path
from pfd_operator.runtime.connection import connection
from pfd_operator.runtime.handlers import _same_connection
from tests.integration.one_operator import conditions_of, create, kubelet, operator, status_of, until_phase
from tests.job_specs import job_body
from tests.until import until

pytestmark = pytest.mark.timeout(180)


async def create_nested(api: KubeApi, namespace: str, name: str, levels: int) -> None:
    """Create a job with so many levels in a field that is free of a schema: no writer of JSON would write it."""
    body = job_body(name)
    body["spec"]["pods"] = {"train": {"affinity": {"free": "HERE"}}}
    text = json.dumps(body).replace('"HERE"', '{"a":' * levels + "0" + "}" * levels)
    given = connection(_same_connection(api))
    async with given.aiohttp_session as session:
        path = given.server + collection_path("FineTuneJob", namespace)
        answer = await session.post(path, data=text, headers={"Content-Type": "application/json"})
        assert answer.status == 201, await answer.text()


async def test_others_go_on_beside_a_job_that_nests_deeply(api: KubeApi, namespace: str, kubeconfig: Path) -> None:
    await create_nested(api, namespace, "listed", 9980)
    async with operator(namespace, kubeconfig), kubelet(api, namespace):
        await create_nested(api, namespace, "watched", 300)
        await create_nested(api, namespace, "watched-deep", 9980)
        await create(api, namespace)
        await until_phase(api, namespace, "Converged")

        async def refused() -> bool:
            ready = conditions_of(await status_of(api, namespace, "watched")).get("Ready", {})
            return bool(ready.get("message") == UNFIT)

        await until(refused)
    # as kubectl pfd reads them
    listed = await api.request("GET", collection_path("FineTuneJob", namespace))
    assert len(listed["items"]) == 4

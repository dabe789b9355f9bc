"""The administrator's limits on what one job may ask for, as a real API server keeps them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from pfd_operator.kube.api import KubeApi
from pfd_operator.kube.resources import collection_path
from tests.chart_rendering import render
from tests.integration.asking import said_to, said_to_job
from tests.integration.policies import in_force
from tests.job_specs import job_body

WITHIN = {"maxIterations": 4, "maxLabels": 40, "gpuHours": 8}


@pytest.fixture
async def limited(api: KubeApi, namespace: str) -> AsyncIterator[str]:
    """A namespace with jobs of before, and with limits since."""
    for name, budget in (("unlimited", {"maxLabels": 40}), ("large", {"maxLabels": 80, "gpuHours": 20.5})):
        await api.request("POST", collection_path("FineTuneJob", namespace), job_body(name, budget=budget))
    limits = ("--set", "limits.gpuHours=8", "--set", "limits.maxLabels=50", "--set", f"namespaces={{{namespace}}}")
    documents = [each for each in render(*limits) if each["metadata"]["name"].endswith("-limits")]

    async def holds() -> bool:
        return bool(await said_to_job(api, namespace, "FineTuneJob", 403, budget={"maxLabels": 40}))

    async with in_force(api, documents, holds):
        yield namespace


@pytest.mark.parametrize("kind", ["FineTuneJob", "DistillJob"])
async def test_what_one_job_may_ask_for(api: KubeApi, limited: str, kind: str) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({}, ""),
        ({"gpuHours": 7.5}, ""),
        ({"gpuHours": 8.01}, "spec.budget.gpuHours is needed here, and at most 8 "),
        ({"gpuHours": 9}, "spec.budget.gpuHours is needed here"),
        ({"gpuHours": None}, "spec.budget.gpuHours is needed here"),
        ({"maxLabels": 50}, ""),
        ({"maxLabels": 51}, "spec.budget.maxLabels is at most 50 here" if kind == "FineTuneJob" else ""),
    ]
    for changes, words in cases:
        budget = {name: value for name, value in (WITHIN | changes).items() if value is not None}
        said = await said_to_job(api, limited, kind, 403, budget=budget)
        assert words in said and bool(words) == bool(said), (changes, said)
    # of FineTuneJobs the default of 300 is too much
    said = await said_to_job(api, limited, kind, 403, budget={"gpuHours": 1})
    assert bool(said) == (kind == "FineTuneJob")


async def test_jobs_of_before_may_be_stopped_and_given_less(api: KubeApi, limited: str) -> None:
    collection = collection_path("FineTuneJob", limited)

    async def change(name: str, spec: dict[str, Any]) -> str:
        return await said_to(api, "PATCH", f"{collection}/{name}", {"spec": spec}, 403)

    for name in ("unlimited", "large"):
        assert await change(name, {"suspend": True}) == ""
    assert "at most 50" in await change("large", {"budget": {"maxLabels": 81}})
    assert await change("large", {"budget": {"maxLabels": 60}}) == ""
    assert "at most 8 " in await change("large", {"budget": {"gpuHours": 21}})
    assert "is needed" in await change("large", {"budget": {"gpuHours": None}})
    assert await change("large", {"budget": {"gpuHours": 12}}) == ""
    assert await change("unlimited", {"budget": {"gpuHours": 100}}) == "", "less than it had"
    assert "at most 8 " in await change("unlimited", {"budget": {"gpuHours": 101}})

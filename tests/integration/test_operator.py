"""The whole operator against a real API server; only the pods are played."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pfd_operator.contract.result import Reason, StageResult
from pfd_operator.kube.api import MERGE_PATCH, ApiError, KubeApi
from pfd_operator.kube.resources import collection_path
from tests.integration.one_operator import (
    METRICS_PORT,
    PROGRESS_PORT,
    conditions_of,
    create,
    kubelet,
    operator,
    status_of,
    until_phase,
)
from tests.job_specs import distill_body, job_body
from tests.stage_results import good_result
from tests.until import until

pytestmark = pytest.mark.timeout(180)

STAGES = ("explore", "select", "label", "train")


async def event_of(api: KubeApi, namespace: str, reason: str) -> bool:
    events = (await api.request("GET", f"/api/v1/namespaces/{namespace}/events"))["items"]
    return any(item["reason"] == reason and item["involvedObject"]["kind"] == "FineTuneJob" for item in events)


async def restarted(api: KubeApi, namespace: str) -> bool:
    return bool((await status_of(api, namespace)).get("restartId"))


async def test_from_create_to_converged(api: KubeApi, namespace: str, kubeconfig: Path) -> None:
    async with operator(namespace, kubeconfig), kubelet(api, namespace) as node:
        await create(api, namespace)
        status = await until_phase(api, namespace, "Converged")
        # Events come after the status, which outranks them
        await until(lambda: event_of(api, namespace, "Converged"))
    # 0.2 / (1 + 2 i) ≤ 0.08 from iteration 1 on, twice in a row
    assert status["iteration"] == 2
    assert status["model"]["uri"].endswith("best.pt")
    assert conditions_of(status)["Ready"]["status"] == "True"
    expected = [(0, "prepare"), *((iteration, stage) for iteration in range(3) for stage in STAGES)]
    ran = [(iteration, stage) for iteration, stage, _, index in node.ran if index in (None, 0)]
    assert ran == expected
    assert {attempt for _, _, attempt, _ in node.ran} == {1}
    assert set(node.most_live_jobs.values()) == {1}
    body = await api.request("GET", f"{collection_path('FineTuneJob', namespace)}/silicon")
    assert "finalizers" not in body["metadata"]
    assert "annotations" not in body["metadata"], "kopf left something behind"


async def test_resources_of_every_page_of_a_list_are_seen(
    api: KubeApi, namespace: str, kubeconfig: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pfd_operator.runtime.handlers.PAGE_SIZE", 2)
    names = [f"silicon-{number}" for number in range(5)]
    for name in names:
        await api.request("POST", collection_path("FineTuneJob", namespace), job_body(name))

    async def all_run() -> bool:
        return all([(await status_of(api, namespace, name)).get("phase") for name in names])

    async with operator(namespace, kubeconfig):
        await until(all_run)


async def test_restarts_at_any_point_change_nothing(api: KubeApi, namespace: str, kubeconfig: Path) -> None:
    interrupted: list[tuple[int, str]] = []

    async def another_stage() -> tuple[int, str] | None:
        active = (await status_of(api, namespace)).get("active")
        stage = active and (active["iteration"], active["stage"])
        return None if stage in interrupted else stage

    async with kubelet(api, namespace, seconds=0.2) as node:
        await create(api, namespace)
        for number in range(6):
            async with operator(namespace, kubeconfig):
                interrupted.append(await until(another_stage, what="a stage that was not interrupted yet"))
                # before its pods run, while they do, and about when they end
                await asyncio.sleep(0.06 * number)
        async with operator(namespace, kubeconfig):
            status = await until_phase(api, namespace, "Converged")
    assert status["iteration"] == 2
    assert {attempt for _, _, attempt, _ in node.ran} == {1}
    assert len(node.ran) == len(set(node.ran))
    assert set(node.most_live_jobs.values()) == {1}


async def test_transient_failure_is_tried_again(api: KubeApi, namespace: str, kubeconfig: Path) -> None:
    def fail_once(labels: Mapping[str, str], index: int | None) -> tuple[int, StageResult]:
        if labels["pfd.dev/stage"] == "prepare" and labels["pfd.dev/attempt"] == "1":
            return 75, StageResult(ok=False, reason=Reason.STORE_UNAVAILABLE, message="no answer from s3:7070")
        return good_result(labels, index)

    async with operator(namespace, kubeconfig), kubelet(api, namespace) as node:
        node.results = fail_once
        await create(api, namespace, budget={"maxIterations": 1, "maxLabels": 40})
        status = await until_phase(api, namespace, "MaxIterations")
    assert [run for run in node.ran if run[1] == "prepare"] == [(0, "prepare", 1, None), (0, "prepare", 2, None)]
    assert status["stages"][0]["attempts"] == 2


async def test_user_error_fails_at_once_in_the_workers_words(api: KubeApi, namespace: str, kubeconfig: Path) -> None:
    message = "model.branch: the checkpoint has branches A, B; name one"

    def refuse(labels: Mapping[str, str], index: int | None) -> tuple[int, StageResult]:
        return 64, StageResult(ok=False, reason=Reason.BRANCH_REQUIRED, message=message)

    async with operator(namespace, kubeconfig), kubelet(api, namespace) as node:
        node.results = refuse
        await create(api, namespace)
        status = await until_phase(api, namespace, "Failed")
    ready = conditions_of(status)["Ready"]
    assert ready["reason"] == "BranchRequired"
    assert message in ready["message"]
    assert len(node.ran) == 1


async def test_a_distillation_waits_for_its_teacher_and_outlives_it(
    api: KubeApi, namespace: str, kubeconfig: Path
) -> None:
    students, teachers = (collection_path(kind, namespace) for kind in ("DistillJob", "FineTuneJob"))

    async def phase() -> str:
        return str(((await api.request("GET", f"{students}/light")).get("status") or {}).get("phase"))

    async with operator(namespace, kubeconfig), kubelet(api, namespace) as node:
        await api.request("POST", students, distill_body("light"))
        await until(_is(phase, "Pending"))
        await create(api, namespace)
        await until_phase(api, namespace, "Converged")
        await until(_is(phase, "Running"), 10, "the start of the student's job, once its teacher has ended")
        await api.request("DELETE", f"{teachers}/silicon")
        await until(_is(phase, "Converged"), 60)
    status = (await api.request("GET", f"{students}/light"))["status"]
    assert status["teacher"]["modelUri"] == "s3://pfd/silicon/stages/2/best.pt"
    assert status["speedup"] == "9.5× at 108 atoms"
    assert [check["met"] for check in status["acceptance"]] == [True, True]
    assert (2, "accept", 1, None) in node.ran


def _is(phase: Callable[[], Awaitable[str]], wanted: str) -> Callable[[], Awaitable[bool]]:
    async def reached() -> bool:
        return await phase() == wanted

    return reached


async def test_suspend_and_resume(api: KubeApi, namespace: str, kubeconfig: Path) -> None:
    path = f"{collection_path('FineTuneJob', namespace)}/silicon"
    async with operator(namespace, kubeconfig), kubelet(api, namespace, seconds=0.5) as node:
        await create(api, namespace)
        await until(lambda: any(stage == "prepare" for _, stage, _, _ in node.ran))
        await api.request("PATCH", path, {"spec": {"suspend": True}}, content_type=MERGE_PATCH)
        await until_phase(api, namespace, "Suspended")
        await api.request("PATCH", path, {"spec": {"suspend": False}}, content_type=MERGE_PATCH)
        await until_phase(api, namespace, "Converged")
    assert set(node.most_live_jobs.values()) == {1}


async def test_an_ended_job_goes_back_to_an_iteration_with_other_settings(
    api: KubeApi, namespace: str, kubeconfig: Path
) -> None:
    path = f"{collection_path('FineTuneJob', namespace)}/silicon"

    async def change(**spec: Any) -> None:
        await api.request("PATCH", path, {"spec": spec}, content_type=MERGE_PATCH)

    async with operator(namespace, kubeconfig), kubelet(api, namespace) as node:
        await create(api, namespace)
        before = await until_phase(api, namespace, "Converged")
        with pytest.raises(ApiError, match="change it with a new"):
            await change(training={"steps": 9000})
        with pytest.raises(ApiError, match="holdout is frozen once started"):
            await change(holdout={"frames": 5}, restart={"fromIteration": 2, "id": "longer"})
        await change(training={"steps": 9000}, restart={"fromIteration": 2, "id": "longer"})
        await until(lambda: restarted(api, namespace))
        after = await until_phase(api, namespace, "Converged")
        with pytest.raises(ApiError, match="change it with a new"):
            await change(training={"steps": 9001})
    assert [(i, stage, a) for i, stage, a, index in node.ran if a > 1 and index in (None, 0)] == [
        (2, stage, 2) for stage in STAGES
    ], "iteration 1 stays, and is within the limits"
    assert [record["iteration"] for record in after["iterations"]] == [0, 1, 2]
    assert after["stages"][-1]["digest"] != before["stages"][-1]["digest"]
    assert set(node.most_live_jobs.values()) == {1}


async def test_progress_reaches_the_status(api: KubeApi, namespace: str, kubeconfig: Path) -> None:
    async with operator(namespace, kubeconfig), aiohttp.ClientSession() as session:
        await create(api, namespace)
        jobs_path = f"/apis/batch/v1/namespaces/{namespace}/jobs"

        async def pods() -> list[dict[str, Any]]:
            return list((await api.request("GET", f"/api/v1/namespaces/{namespace}/pods"))["items"])

        (pod,) = await until(pods)
        async with asyncio.timeout(20):
            environment = {item["name"]: item.get("value") for item in pod["spec"]["containers"][0]["env"]}
            stage_spec = pod["metadata"]["annotations"]["pfd.dev/stage-spec"]
            (job,) = (await api.request("GET", jobs_path))["items"]
            url = f"http://127.0.0.1:{PROGRESS_PORT}/progress/{namespace}/{job['metadata']['name']}"
            assert url in stage_spec
            headers = {"Authorization": f"Bearer {environment['PFD_PROGRESS_TOKEN']}"}
            report = {"percent": 40, "message": "step 400 of 1000"}
            async with session.post(url, json=report, headers={"Authorization": "Bearer x"}) as response:
                assert response.status == 401
            async with session.post(url, json={"percent": 400}, headers=headers) as response:
                assert response.status == 400
            async with session.post(url, json=report, headers=headers) as response:
                assert response.status == 204

        async def shown() -> bool:
            active = (await status_of(api, namespace)).get("active") or {}
            return active.get("percent") == 40

        await until(shown)
        async with session.get(f"http://127.0.0.1:{METRICS_PORT}/healthz") as response:
            assert (response.status, await response.json()) == (200, {"healthy": True, "complaints": []})
        async with session.get(f"http://127.0.0.1:{METRICS_PORT}/metrics") as response:
            text = await response.text()
    assert re.search(r'pfd_jobs\{kind="FineTuneJob",phase="Running",stage="\w+"\} 1\.0', text)
    assert 'pfd_progress_reports_total{status="401"} 1.0' in text

"""What the operator complains of at /healthz, and whose progress it takes note of."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pfd_operator.contract.result import Progress
from pfd_operator.contract.stage import StageKind
from pfd_operator.kube.api import KubeApi
from pfd_operator.kube.observe import CachedJob
from pfd_operator.kube.owner import Owner
from pfd_operator.kube.resources import Key
from pfd_operator.plan.observed import ObservedJob
from pfd_operator.runtime.operator import Operator
from pfd_operator.runtime.server import REPORT_MAX_BYTES
from tests.free_ports import free_port
from tests.unit.operator.runtime.runtime_parts import body, settings_at

SILICON = Key("FineTuneJob", "lab", "silicon")
HEALTHY: tuple[int, dict[str, Any]] = (200, {"healthy": True, "complaints": []})


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Operator]:
    limits = {"watch_silence_seconds": 60.0, "stuck_queue_seconds": 30.0}
    port = free_port(in_a_row=2)
    settings = settings_at("http://127.0.0.1:1", tmp_path, progress_port=port, metrics_port=port + 1, **limits)
    operator = Operator(await KubeApi.connect(settings.kubeconfig), settings, lambda: None)
    await operator.server.start()
    operator.waits_for = ""
    yield operator
    operator.queue.close()
    await operator.server.close()
    await operator.api.close()


async def health(operator: Operator, path: str = "healthz") -> tuple[int, dict[str, Any]]:
    url = f"http://127.0.0.1:{operator.settings.metrics_port}/{path}"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, await response.json()


async def test_a_silent_watch_is_unhealthy_until_it_is_heard(served: Operator) -> None:
    assert await health(served) == HEALTHY
    (pods,) = served.children.pods
    pods.heard_at = time.monotonic() - 61
    complaint = "the watch of /api/v1/pods is silent for 61 s"
    assert await health(served) == (503, {"healthy": False, "complaints": [complaint]})
    pods.heard_at = time.monotonic()
    assert await health(served) == HEALTHY


async def test_a_queue_that_nobody_works_on_is_unhealthy(served: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    served.queue.add(SILICON)
    assert await health(served) == HEALTHY
    now = time.monotonic
    monkeypatch.setattr("pfd_operator.runtime.queue.time.monotonic", lambda: now() + 31)
    # the clock is that of all: the watches were heard a moment ago by it, too
    for informer in served.informers:
        informer.heard_at += 31
    complaint = "a resource waits in the queue for 31 s"
    assert await health(served) == (503, {"healthy": False, "complaints": [complaint]})


async def test_one_that_waits_for_the_lease_is_healthy(served: Operator) -> None:
    served.waits_for = "its caches"
    for informer in served.informers:
        informer.heard_at -= 3600
    assert await health(served) == HEALTHY
    assert await health(served, "readyz") == (503, {"ready": False, "waitsFor": "its caches"})
    served.waits_for = ""
    assert await health(served, "readyz") == (200, {"ready": True, "waitsFor": ""})


async def test_pods_that_report_progress_learn_nothing_else(served: Operator) -> None:
    async def status(method: str, port: int, path: str) -> int:
        url = f"http://127.0.0.1:{port}{path}"
        async with aiohttp.ClientSession() as session, session.request(method, url) as response:
            return response.status

    progress, metrics = served.settings.progress_port, served.settings.metrics_port
    for path in ("/metrics", "/healthz", "/readyz"):
        assert await status("GET", metrics, path) == 200
        assert await status("GET", progress, path) == 404
    report = "/progress/lab/silicon-train-a2"
    assert await status("POST", progress, report) == 401, "it asks for the attempt's token"
    assert await status("POST", metrics, report) == 404


def job_of(reporting: ObservedJob) -> CachedJob:
    return CachedJob(("lab", reporting.name), Owner("lab", "FineTuneJob-silicon"), "token", reporting)


@pytest.mark.parametrize(("active", "shown"), [("silicon-train-a2", 1), ("silicon-train-a3", 0), (None, 0)])
async def test_only_the_running_attempt_makes_progress(
    served: Operator, active: str | None, shown: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    running: dict[str, Any] = {} if active is None else {"active": {"stage": "train", "jobName": active}}
    served.resource_changed(body("silicon", phase="Running", **running), deleted=False)
    reporting = ObservedJob("silicon-train-a2", "uid-2", 1, StageKind.TRAIN, 2)
    job = job_of(reporting)
    looks: list[Key] = []
    monkeypatch.setattr(served.queue, "add_after", lambda key, seconds: looks.append(key))
    served.reported(job, Progress(percent=40))
    assert looks == [SILICON] * shown


@pytest.mark.parametrize("token", ["x", "\udcff"])
@pytest.mark.parametrize("there", [True, False])
async def test_a_wrong_token_does_not_tell_whether_there_is_such_a_job(
    served: Operator, monkeypatch: pytest.MonkeyPatch, there: bool, token: str
) -> None:
    job = job_of(ObservedJob("silicon-train-a2", "uid-2", 1, StageKind.TRAIN, 2))
    monkeypatch.setattr(served.children, "job", lambda *key: job if there else None)
    url = f"http://127.0.0.1:{served.settings.progress_port}/progress/lab/{job.observed.name}"
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession() as session, session.post(url, json={"percent": 1}, headers=headers) as response:
        assert response.status == 401, await response.text()


@pytest.mark.parametrize(("length", "status"), [(2, 204), (REPORT_MAX_BYTES, 400)])
async def test_a_report_that_is_too_long_is_the_stage_s_fault(
    served: Operator, monkeypatch: pytest.MonkeyPatch, length: int, status: int
) -> None:
    job = job_of(ObservedJob("silicon-train-a2", "uid-2", 1, StageKind.TRAIN, 2))
    monkeypatch.setattr(served.children, "job", lambda *key: job if key == job.key else None)
    url = f"http://127.0.0.1:{served.settings.progress_port}/progress/lab/{job.observed.name}"
    report, token = {"percent": 40, "message": "x" * length}, {"Authorization": f"Bearer {job.token}"}
    async with aiohttp.ClientSession() as session, session.post(url, json=report, headers=token) as response:
        assert response.status == status, await response.text()

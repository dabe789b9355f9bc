"""The kubelet, as the tests play it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from pfd_operator.contract.result import StageResult
from pfd_operator.kube.api import MERGE_PATCH, ApiError, KubeApi
from tests.pod_statuses import now, running, status_of, terminated
from tests.stage_results import good_result


class Kubelet:
    """Runs pods as a kubelet would seem to: Running, then Succeeded or Failed with a termination message."""

    def __init__(self, api: KubeApi, namespace: str, seconds: float = 0.0) -> None:
        self._api = api
        self._namespace = namespace
        self._seconds = seconds
        self.ran: list[tuple[int, str, int, int | None]] = []
        """(iteration, stage, attempt, index) of every pod that was run."""
        self.results: Callable[[Mapping[str, str], int | None], tuple[int, StageResult]] = good_result
        self.most_live_jobs: dict[tuple[int, str], int] = {}

    async def run(self) -> None:
        """Run every pod that comes, until cancelled."""
        started: set[str] = set()
        async with asyncio.TaskGroup() as group:
            while True:
                pods = (await self._api.request("GET", f"/api/v1/namespaces/{self._namespace}/pods"))["items"]
                self._count_live(pods)
                for pod in pods:
                    if pod["metadata"]["uid"] not in started:
                        started.add(pod["metadata"]["uid"])
                        group.create_task(self.run_pod(pod))
                    elif "deletionTimestamp" in pod["metadata"] and pod["status"]["phase"] not in (
                        "Succeeded",
                        "Failed",
                    ):
                        await self._finish_deletion(pod)
                await asyncio.sleep(0.05)

    def _count_live(self, pods: list[dict[str, Any]]) -> None:
        live: dict[tuple[int, str], set[str]] = {}
        for pod in pods:
            labels = pod["metadata"]["labels"]
            if pod["status"].get("phase") in ("Pending", "Running"):
                stage = (int(labels["pfd.dev/iteration"]), labels["pfd.dev/stage"])
                live.setdefault(stage, set()).add(labels["batch.kubernetes.io/job-name"])
        for stage, jobs in live.items():
            self.most_live_jobs[stage] = max(self.most_live_jobs.get(stage, 0), len(jobs))

    async def run_pod(self, pod: dict[str, Any]) -> None:
        """Run one pod to its end."""
        metadata = pod["metadata"]
        labels = metadata["labels"]
        text = metadata["annotations"].get("batch.kubernetes.io/job-completion-index")
        index = None if text is None else int(text)
        start = now()
        with contextlib.suppress(ApiError):
            await self._patch(metadata["name"], status_of("Running", running(start)))
            if self._seconds:
                await asyncio.sleep(self._seconds)
            stage = (int(labels["pfd.dev/iteration"]), labels["pfd.dev/stage"], int(labels["pfd.dev/attempt"]), index)
            self.ran.append(stage)
            code, result = self.results(labels, index)
            ended = terminated(code, result.to_termination_message(), start)
            await self._patch(metadata["name"], status_of("Succeeded" if code == 0 else "Failed", ended))

    async def _finish_deletion(self, pod: dict[str, Any]) -> None:
        with contextlib.suppress(ApiError):
            await self._patch(pod["metadata"]["name"], {"phase": "Failed"})
            path = f"/api/v1/namespaces/{self._namespace}/pods/{pod['metadata']['name']}"
            await self._api.request("DELETE", path, {"gracePeriodSeconds": 0})

    async def _patch(self, name: str, status: dict[str, Any]) -> None:
        path = f"/api/v1/namespaces/{self._namespace}/pods/{name}/status"
        await self._api.request("PATCH", path, {"status": status}, content_type=MERGE_PATCH)

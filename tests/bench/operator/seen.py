"""What a watch of Jobs and pods brings, and when: for those who react to it, and for the clock."""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from pfd_operator.kube.api import KubeApi


class Seen:
    """Jobs as they were created, and pods that succeeded, in one namespace.

    Parameters
    ----------
    api
        Where to watch.
    namespace
        Of the Jobs and pods.
    """

    def __init__(self, api: KubeApi, namespace: str) -> None:
        self._api = api
        self._paths = f"/apis/batch/v1/namespaces/{namespace}/jobs", f"/api/v1/namespaces/{namespace}/pods"
        self._succeeded: dict[str, set[str]] = defaultdict(set)
        self._news = asyncio.Event()
        self.jobs: dict[str, dict[str, Any]] = {}
        """By name."""
        self.created_at: dict[str, float] = {}
        """When each Job was seen first, monotonic, in s."""
        self.ended_at: dict[str, float] = {}
        """When the last pod of each Job was seen Succeeded, monotonic, in s."""

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as group:
            for path, take in zip(self._paths, (self._take_job, self._take_pod), strict=True):
                version = (await self._api.request("GET", path, query={"limit": "1"}))["metadata"]["resourceVersion"]
                group.create_task(self._follow(path, version, take))

    async def until(self, condition: Callable[[], bool], seconds: float = 600) -> None:
        """Wait until something has been seen."""
        async with asyncio.timeout(seconds):
            while not condition():
                self._news.clear()
                await self._news.wait()

    def is_over(self, job: str) -> bool:
        """Return True if all pods of a Job were seen Succeeded."""
        return job in self.ended_at

    async def _follow(self, path: str, version: str, take: Callable[[dict[str, Any]], None]) -> None:
        while True:
            async for line in self._api.lines(path, {"watch": "true", "resourceVersion": version}, 3600):
                if line:
                    item = json.loads(line)["object"]
                    version = item["metadata"]["resourceVersion"]
                    take(item)
                    self._news.set()

    def _take_job(self, job: dict[str, Any]) -> None:
        name = job["metadata"]["name"]
        if name not in self.jobs:
            self.jobs[name], self.created_at[name] = job, time.monotonic()

    def _take_pod(self, pod: dict[str, Any]) -> None:
        if pod["status"].get("phase") != "Succeeded":
            return
        name = pod["metadata"]["labels"]["batch.kubernetes.io/job-name"]
        self._succeeded[name].add(pod["metadata"]["name"])
        if len(self._succeeded[name]) == self.jobs[name]["spec"]["completions"]:
            self.ended_at.setdefault(name, time.monotonic())

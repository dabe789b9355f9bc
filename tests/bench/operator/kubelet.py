"""All kubelets of a cluster at once: pods run when they come and end when they are told to."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from typing import Any

from pfd_operator.contract.outcome import SelectOutcome
from pfd_operator.kube.api import MERGE_PATCH, ApiError, KubeApi
from tests.pod_statuses import now, running, status_of, terminated
from tests.stage_results import good_result

from .control_plane import NAMESPACE

PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
AT_A_TIME = 64
"""Status writes under way at once."""
_SCHEDULED = {"type": "PodScheduled", "status": "True"}


class Kubelets:
    """Plays the pods' side: waiting while containers are created, Running, then Succeeded when `finish` says so.

    Parameters
    ----------
    api
        An administrator's connection.
    ends_at_once
        Whether the pods of a custom resource with this name end as soon as they run.
    """

    def __init__(self, api: KubeApi, ends_at_once: Callable[[str], bool]) -> None:
        self._api = api
        self._ends_at_once = ends_at_once
        self._slots = asyncio.Semaphore(AT_A_TIME)
        self._seen: set[str] = set()
        self._work: set[asyncio.Task[None]] = set()
        self.running: dict[str, dict[str, Any]] = {}
        """The running pod of each custom resource, by the resource's name."""
        self.ended = 0
        self.tasks: dict[str, int] = {}
        """Tasks that the first selection of a custom resource finds, by the resource's name."""

    async def run(self) -> None:
        """Follow the pods until cancelled."""
        version = ""
        while True:
            listed = await self._api.request("GET", PODS)
            version = listed["metadata"]["resourceVersion"]
            for pod in listed["items"]:
                self._take(pod)
            query = {"watch": "true", "resourceVersion": version}
            with contextlib.suppress(ApiError):
                async for line in self._api.lines(PODS, query, 300):
                    if line:
                        event = json.loads(line)
                        if event["type"] != "DELETED":
                            self._take(event["object"])

    async def finish(self, name: str) -> None:
        """End the running pod of a custom resource well."""
        await self._end(self.running.pop(name))

    async def _end(self, pod: dict[str, Any]) -> None:
        labels = pod["metadata"]["labels"]
        _, result = good_result(labels, None)
        tasks = self.tasks.get(labels["pfd.dev/job"])
        if tasks is not None and (labels["pfd.dev/stage"], labels["pfd.dev/iteration"]) == ("select", "0"):
            result = result.model_copy(update={"outcome": SelectOutcome(tasks=tasks, labels=tasks)})
        await self._write(pod, "Succeeded", terminated(0, result.to_termination_message(), pod["started_at"]))
        self.ended += 1

    async def finish_all(self, names: list[str]) -> None:
        """End the running pods of many resources as fast as the API server takes it."""
        await asyncio.gather(*(self.finish(name) for name in names))

    def _take(self, pod: dict[str, Any]) -> None:
        metadata = pod["metadata"]
        name = metadata["labels"].get("pfd.dev/job", "")
        if "deletionTimestamp" in metadata:
            if metadata["uid"] in self._seen:
                self._seen.discard(metadata["uid"])
                self._start(self._remove(metadata["name"]))
        elif metadata["uid"] not in self._seen and pod["status"].get("phase") == "Pending":
            self._seen.add(metadata["uid"])
            self._start(self._run_pod(name, pod))

    def _start(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    async def _run_pod(self, name: str, pod: dict[str, Any]) -> None:
        kept: dict[str, Any] = {
            "metadata": {"name": pod["metadata"]["name"], "labels": pod["metadata"]["labels"]},
            "started_at": now(),
        }
        await self._write(kept, "Pending", {"waiting": {"reason": "ContainerCreating"}})
        await self._write(kept, "Running", running(kept["started_at"]))
        if self._ends_at_once(name):
            # one of many, perhaps: it is not the running pod of its resource
            await self._end(kept)
        else:
            self.running[name] = kept

    async def _remove(self, pod: str) -> None:
        with contextlib.suppress(ApiError):
            await self._api.request("DELETE", f"{PODS}/{pod}", {"gracePeriodSeconds": 0})

    async def _write(self, pod: dict[str, Any], phase: str, state: dict[str, Any]) -> None:
        status = status_of(phase, state, conditions=[_SCHEDULED])
        path = f"{PODS}/{pod['metadata']['name']}/status"
        async with self._slots:
            await self._api.request("PATCH", path, {"status": status}, content_type=MERGE_PATCH)

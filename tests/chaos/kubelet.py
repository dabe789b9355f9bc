"""All nodes of the cluster: pods are bound, run a worker in miniature, end as pods end, and suffer what pods suffer."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

from pfd_operator.contract.result import ExitCode, Reason, StageResult
from pfd_operator.kube.api import MERGE_PATCH, ApiError, KubeApi
from pfd_worker.errors import StageError
from tests.pod_statuses import now, running, status_of, terminated

from .faults import Book, Fault, Weather
from .pods import GRACE_SECONDS, Pod, pod_from
from .worker import Worker

NODES = ("node-0", "node-1", "node-2")
HEARTBEAT_SECONDS = 15.0
COUNTED_MAX = 2
"""Failures of one stage, or of one index, that count: one more and the job rightly fails."""
_COUNTED = (Fault.EXIT_TRANSIENT, Fault.EXIT_UNKNOWN, Fault.RESULT_LOST)
_DISRUPTED = {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC"}


class Kubelets:
    """Follow the pods of a namespace and run them."""

    def __init__(self, api: KubeApi, namespace: str, worker: Worker, weather: Weather, book: Book) -> None:
        self._api = api
        self.path = f"/api/v1/namespaces/{namespace}/pods"
        self._worker = worker
        self._weather = weather
        self._book = book
        self._random: random.Random = weather.random
        self._counted: defaultdict[tuple[Any, ...], int] = defaultdict(int)
        self._tasks: set[asyncio.Task[None]] = set()
        self._seen: set[str] = set()
        self._working: defaultdict[tuple[Any, ...], dict[str, Pod]] = defaultdict(dict)
        self.pods: dict[str, Pod] = {}
        """Those that have not ended, by uid."""
        self.lost_nodes: set[str] = set()
        self.overlaps: list[str] = []
        """Stages of which two pods worked at one instant."""
        self.ran = 0

    async def run(self) -> None:
        """Follow the pods until cancelled."""
        self._start(self._heartbeats())
        while True:
            with contextlib.suppress(ApiError):
                listed = await self._api.request("GET", self.path)
                for pod in listed["items"]:
                    self._take(pod)
                query = {"watch": "true", "resourceVersion": listed["metadata"]["resourceVersion"]}
                async for line in self._api.lines(self.path, query, 300):
                    event = json.loads(line) if line else {}
                    if event.get("type") in ("ADDED", "MODIFIED"):
                        self._take(event["object"])

    async def close(self) -> None:
        """End all pods' processes."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _take(self, body: dict[str, Any]) -> None:
        metadata = body["metadata"]
        uid = metadata["uid"]
        if "deletionTimestamp" in metadata:
            pod = self.pods.get(uid)
            if pod is None:
                # it ended while the deletion was on its way here
                self._start(self._remove(metadata["name"], uid))
            elif pod.node not in self.lost_nodes and not pod.life.stopping.is_set():
                pod.told_to_end(metadata)
                self._start(self._kill(pod, metadata["deletionGracePeriodSeconds"]))
        elif uid not in self._seen and body["status"].get("phase") == "Pending":
            self._seen.add(uid)
            pod = pod_from(body, self._random.choice([node for node in NODES if node not in self.lost_nodes]))
            self.pods[uid] = pod
            pod.task = self._start(self._run(pod))

    async def _run(self, pod: Pod) -> None:
        try:
            await self._bind(pod)
            pod.started_at = now()
            await self._write(pod, "Running", running(pod.started_at))
            code, message, pressed = await self._process(pod)
            if pressed:
                words = {"reason": "Evicted", "message": "The node was low on resource: memory"}
                pressure = {**_DISRUPTED, "reason": "TerminationByKubelet"}
                await self._write(pod, "Failed", terminated(137, "", pod.started_at), conditions=[pressure], **words)
            else:
                ended = terminated(code, message, pod.started_at)
                await self._write(pod, "Succeeded" if code == 0 else "Failed", ended)
            self.ran += 1
            if code == 0 and pod.harmed is not None:
                # its index is done for Kubernetes, and what it found is not heard: the stage is looked for once more
                self._book.note_job(pod.harmed, pod.job)
        except ApiError as error:
            # 404, 409: it was deleted before it ran
            if error.status not in (404, 409):
                raise
        del self.pods[pod.uid]
        if pod.life.stopping.is_set():
            await self._remove(pod.name, pod.uid)

    async def _kill(self, pod: Pod, grace_seconds: float) -> None:
        """Send SIGKILL to a process that waits for S3, and does not hear SIGTERM."""
        await asyncio.sleep(grace_seconds)
        pod.life.lost.set()
        pod.killed.set()

    async def _process(self, pod: Pod) -> tuple[int, str, bool]:
        """Return exit code, termination message, and whether the kubelet evicts the pod."""
        working = self._working[pod.work]
        others = [other.job for other in working.values() if not other.lingers(datetime.now(UTC))]
        if others:
            self.overlaps.append(f"{pod.job} while {', '.join(others)} works")
        working[pod.uid] = pod
        try:
            fault = self._fault(pod)
            if fault is Fault.EXIT_TRANSIENT:
                result = StageResult(ok=False, reason=Reason.STORE_UNAVAILABLE, message="no answer from s3:7070")
                return ExitCode.TRANSIENT, result.to_termination_message(), False
            if fault is Fault.EXIT_PREEMPTED:
                result = StageResult(ok=False, reason=Reason.PREEMPTED, message="stopped")
                return ExitCode.PREEMPTED, result.to_termination_message(), False
            code, message = await self._worked(pod)
            if code == 0 and fault is Fault.EXIT_UNKNOWN:
                return 1, "", False
            if code == 0 and fault is Fault.RESULT_LOST:
                pod.harmed = fault
                return 0, "", False
            return code, message, code == 0 and fault is Fault.NODE_PRESSURE
        finally:
            del working[pod.uid]
            if pod.lingers(datetime.now(UTC)):
                self._book.note(Fault.POD_LINGERED)
                self._book.note_job(Fault.POD_LINGERED, pod.job)

    async def _worked(self, pod: Pod) -> tuple[int, str]:
        """Return the exit code and the termination message of the worker."""
        work = asyncio.ensure_future(self._worker.run(pod.spec, pod.index, pod.life))
        killed = asyncio.ensure_future(pod.killed.wait())
        try:
            await asyncio.wait({work, killed}, return_when=asyncio.FIRST_COMPLETED)
            if pod.killed.is_set():
                return 137, ""
            return 0, work.result().to_termination_message()
        except StageError as error:
            failed = StageResult(ok=False, reason=error.reason, message=error.message)
            return int(error.exit_code), failed.to_termination_message()
        finally:
            killed.cancel()
            # of a process that is dead nobody wants to know how it would have ended
            work.add_done_callback(lambda done: done.cancelled() or done.exception())

    def _fault(self, pod: Pod) -> Fault | None:
        fault = self._weather.of_pod()
        if fault is None:
            return None
        if fault in _COUNTED:
            if self._counted[pod.work] >= COUNTED_MAX:
                return None
            self._counted[pod.work] += 1
        self._book.note(fault)
        if pod.index is None:
            # of an indexed stage, Kubernetes itself tries the index again, in the same Job
            self._book.note_job(fault, pod.job)
        return fault

    async def power_cut(self, node: str, seconds: float) -> None:
        """Let a node and its pods vanish; after a while the control plane takes its pods for dead."""
        self.lost_nodes.add(node)
        victims = [pod for pod in self.pods.values() if pod.node == node]
        for pod in victims:
            self._book.note_job(Fault.NODE_LOST, pod.job)
            pod.life.lost.set()
            pod.life.stopping.set()
            if pod.task is not None:
                pod.task.cancel()
            with contextlib.suppress(ApiError):
                await self._api.request("DELETE", f"{self.path}/{pod.name}", {"gracePeriodSeconds": GRACE_SECONDS})
        await asyncio.sleep(seconds)
        for pod in victims:
            # what the garbage collector of pods does about a node that is out of service
            with contextlib.suppress(ApiError):
                await self._write(pod, "Failed", None, conditions=[_DISRUPTED])
            await self._remove(pod.name, pod.uid)
            self.pods.pop(pod.uid, None)
        self.lost_nodes.discard(node)

    async def _remove(self, name: str, uid: str) -> None:
        """Remove a pod's object for good."""
        body = {"gracePeriodSeconds": 0, "preconditions": {"uid": uid}}
        with contextlib.suppress(ApiError):
            await self._api.request("DELETE", f"{self.path}/{name}", body)

    async def _bind(self, pod: Pod) -> None:
        target = {"apiVersion": "v1", "kind": "Node", "name": pod.node}
        body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod.name}, "target": target}
        await self._api.request("POST", f"{self.path}/{pod.name}/binding", body)

    async def _write(
        self,
        pod: Pod,
        phase: str,
        state: dict[str, Any] | None,
        conditions: list[dict[str, Any]] | None = None,
        **words: str,
    ) -> None:
        scheduled = {"type": "PodScheduled", "status": "True"}
        conditions = [scheduled, *(conditions or await self._conditions(pod))]
        body = {"metadata": {"uid": pod.uid}, "status": status_of(phase, state, conditions=conditions, **words)}
        await self._api.request("PATCH", f"{self.path}/{pod.name}/status", body, content_type=MERGE_PATCH)

    async def _conditions(self, pod: Pod) -> list[dict[str, Any]]:
        """Return what others wrote of it: a merge patch replaces the list."""
        if not pod.life.stopping.is_set():
            return []
        found = (await self._api.request("GET", f"{self.path}/{pod.name}"))["status"].get("conditions", ())
        return [condition for condition in found if condition["type"] == "DisruptionTarget"]

    async def _heartbeats(self) -> None:
        for node in NODES:
            with contextlib.suppress(ApiError):
                await self._api.request("POST", "/api/v1/nodes", {"metadata": {"name": node}})
        while True:
            ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": now()}
            for node in NODES:
                body = {"status": {"conditions": [ready]}}
                with contextlib.suppress(ApiError):
                    await self._api.request("PATCH", f"/api/v1/nodes/{node}/status", body, content_type=MERGE_PATCH)
            await asyncio.sleep(HEARTBEAT_SECONDS)

"""What the tests play themselves: the kubelet, a breakable connection, and a small FineTuneJob."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from pfd_operator.contract.digest import digest_of
from pfd_operator.contract.outcome import (
    AcceptanceCheck,
    AcceptOutcome,
    PrepareOutcome,
    SelectOutcome,
    SpeedUp,
    StageOutcome,
    TrainingErrors,
    TrainOutcome,
)
from pfd_operator.contract.result import LabelCounts, StageResult
from pfd_operator.kube.api import MERGE_PATCH, ApiError, KubeApi
from tests.job_specs import DISTILL_SPEC, SPEC
from tests.pod_statuses import now, running, status_of, terminated
from tests.unit.operator.plan.plan_answers import errors


def distill_body(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "apiVersion": "pfd.dev/v1alpha1",
        "kind": "DistillJob",
        "metadata": {"name": name},
        "spec": DISTILL_SPEC | changes,
    }


def job_body(name: str, labels: Mapping[str, str] | None = None, **changes: Any) -> dict[str, Any]:
    return {
        "apiVersion": "pfd.dev/v1alpha1",
        "kind": "FineTuneJob",
        "metadata": {"name": name, "labels": dict(labels or {})},
        "spec": SPEC | changes,
    }


BODIES = {"FineTuneJob": job_body, "DistillJob": distill_body}


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


def good_result(labels: Mapping[str, str], index: int | None) -> tuple[int, StageResult]:
    """Return what a worker would say: errors shrink from iteration to iteration."""
    iteration, stage = int(labels["pfd.dev/iteration"]), labels["pfd.dev/stage"]
    digest = digest_of([stage, iteration, labels["pfd.dev/attempt"]])
    result = StageResult(ok=True, digest=digest, outcome=_outcome(stage, iteration))
    if stage == "prepare":
        return 0, result.model_copy(update={"digest": "cd" * 32})
    if stage == "accept":
        return 0, result.model_copy(update={"model_uri": "s3://pfd/light/compressed.pth"})
    paid = 6 + 3 * iteration if stage in ("train", "label") else 6 + 3 * (iteration - 1) if iteration else 0
    update: dict[str, Any] = {"labels": LabelCounts(paid=paid)}
    if stage == "train":
        update["model_uri"] = f"s3://pfd/silicon/stages/{iteration}/best.pt"
    return 0, result.model_copy(update=update)


def _outcome(stage: str, iteration: int) -> StageOutcome | None:
    match stage:
        case "prepare":
            return PrepareOutcome()
        case "select":
            labels = 3 if iteration else 6
            return SelectOutcome(tasks=labels, labels=labels)
        case "train":
            error = errors(0.2 / (1 + 2 * iteration))
            others = {"prequential": error} if iteration else {"pretrained": errors(0.5), "shifted": errors(0.4)}
            return TrainOutcome(
                training_frames=2,
                holdout_strata_count=2,
                errors=TrainingErrors(holdout=error, best=error, **others),
                best_iteration=iteration,
            )
        case "accept":
            message = "9.5× at 108 atoms, at least 6 are asked for"
            check = AcceptanceCheck(name="speedup", met=True, message=message)
            return AcceptOutcome(checks=[check], speed_ups=[SpeedUp(atoms_asked=108, atoms=108, factor=9.5)])
    return None


class Cable:
    """A TCP connection to the API server that can be cut."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.frozen = asyncio.Event()

    async def plug(self) -> int:
        """Listen; return the port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    def cut(self) -> None:
        """Break every connection there is; new ones work."""
        for writer in self._writers:
            writer.transport.abort()

    async def unplug(self) -> None:
        """Stop listening and break everything."""
        assert self._server is not None
        self._server.close()
        self.cut()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers |= {writer, server_writer}
        try:
            await asyncio.gather(self._pipe(reader, server_writer), self._pipe(server_reader, writer))
        finally:
            for end in (writer, server_writer):
                end.transport.abort()
                self._writers.discard(end)

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if self.frozen.is_set():
                    await asyncio.Event().wait()
                writer.write(data)
                await writer.drain()
        writer.transport.abort()

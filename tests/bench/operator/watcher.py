"""An independent observer in a process of its own: when a pod was seen Succeeded, and when the next Job was seen.

`python -m bench.operator.watcher KUBECONFIG OUTPUT`; it says "ready", and writes OUTPUT when its standard input ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from pfd_operator.kube.api import KubeApi

from .control_plane import NAMESPACE

PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
JOBS = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"


class Watcher:
    """The observer's process, as its parent sees it."""

    def __init__(self, kubeconfig: Path, output: Path) -> None:
        self._output = output
        command = [sys.executable, "-m", "tests.bench.operator.watcher", str(kubeconfig), str(output)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        if self._process.stdout.readline() != b"ready\n":
            raise RuntimeError("the watcher did not start")

    def finish(self) -> tuple[list[float], list[float]]:
        """Stop it.

        Returns
        -------
        tuple of list of float
            The gaps, from pod Succeeded to the same resource's next Job ADDED, in s; and when the pods were seen
            Succeeded, monotonic, in s.
        """
        self._process.communicate(timeout=120)
        events = json.loads(self._output.read_text())
        return gaps(events), sorted(event["at"] for event in events if event["kind"] == "pod")


def gaps(events: list[dict[str, Any]]) -> list[float]:
    """Return the seconds from each pod Succeeded to the next Job ADDED of the same custom resource."""
    ended: dict[str, float] = {}
    found = []
    for event in sorted(events, key=lambda event: event["at"]):
        if event["kind"] == "pod":
            ended[event["resource"]] = event["at"]
        elif event["resource"] in ended:
            found.append(event["at"] - ended.pop(event["resource"]))
    return found


async def _follow(api: KubeApi, path: str, lines: list[tuple[float, bytes]], ready: asyncio.Event) -> None:
    version = (await api.request("GET", path, query={"limit": "1"}))["metadata"]["resourceVersion"]
    async for line in api.lines(path, {"watch": "true", "resourceVersion": version}, 3600):
        ready.set()
        # parsed at the end: here it would make the lines behind it late
        lines.append((time.monotonic(), line))


def _pods(lines: list[tuple[float, bytes]]) -> list[dict[str, Any]]:
    first: dict[str, dict[str, Any]] = {}
    for at, line in lines:
        pod = json.loads(line)["object"] if line else {}
        if pod and pod["status"].get("phase") == "Succeeded":
            event = {"kind": "pod", "at": at, "resource": pod["metadata"]["labels"]["pfd.dev/job"]}
            first.setdefault(pod["metadata"]["uid"], event)
    return list(first.values())


def _jobs(lines: list[tuple[float, bytes]]) -> list[dict[str, Any]]:
    added = [(at, event["object"]) for at, line in lines if line and (event := json.loads(line))["type"] == "ADDED"]
    return [{"kind": "job", "at": at, "resource": job["metadata"]["labels"]["pfd.dev/job"]} for at, job in added]


async def _main(kubeconfig: Path, output: Path) -> None:
    api = await KubeApi.connect(kubeconfig)
    pods: list[tuple[float, bytes]] = []
    jobs: list[tuple[float, bytes]] = []
    ready = asyncio.Event(), asyncio.Event()
    tasks = [
        asyncio.create_task(_follow(api, PODS, pods, ready[0])),
        asyncio.create_task(_follow(api, JOBS, jobs, ready[1])),
    ]
    for event in ready:
        await event.wait()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.to_thread(os.read, 0, 1)
    for task in tasks:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    await api.close()
    output.write_text(json.dumps([*_pods(pods), *_jobs(jobs)]))


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1]), Path(sys.argv[2])))

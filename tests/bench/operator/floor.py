"""The least anyone can do: a process that watches pods and creates the next Job when one is done, and nothing else.

`python -m bench.operator.floor KUBECONFIG`; it says "ready" and ends with its standard input. Measured in the same way
and at the same time as the operator, it says what of a gap is the API server's and the machine's.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from pfd_operator.kube.api import KubeApi

from .control_plane import NAMESPACE

PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
JOBS = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"
LABEL = "bench/floor"
WORKERS = 8
"""As many as the operator has."""


class Floor:
    """That process, as its parent sees it."""

    def __init__(self, kubeconfig: Path) -> None:
        command = [sys.executable, "-m", "tests.bench.operator.floor", str(kubeconfig)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        if self._process.stdout.readline() != b"ready\n":
            raise RuntimeError("the bare watcher did not start")

    def stop(self) -> None:
        """End it."""
        self._process.communicate(timeout=30)


def manifest(like: dict[str, Any], resource: str, name: str, suspend: bool) -> dict[str, Any]:
    """Return a Job as large as the operator's, of no custom resource."""
    template = like["spec"]["template"]
    labels = {"pfd.dev/job": resource, LABEL: "", "pfd.dev/iteration": "0", "pfd.dev/stage": "explore"}
    labels["pfd.dev/attempt"] = "1"
    metadata = {"labels": labels, "annotations": template["metadata"]["annotations"]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "suspend": suspend,
            "backoffLimit": 0,
            "template": {"metadata": metadata, "spec": template["spec"]},
        },
    }


async def _main(kubeconfig: Path) -> None:
    api = await KubeApi.connect(kubeconfig)
    done: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    selected = {"labelSelector": LABEL}
    template = (await api.request("GET", JOBS, query={**selected, "limit": "1"}))["items"][0]
    ready = asyncio.Event()

    async def follow() -> None:
        version = (await api.request("GET", PODS, query={**selected, "limit": "1"}))["metadata"]["resourceVersion"]
        seen: set[str] = set()
        query = {**selected, "watch": "true", "resourceVersion": version}
        async for line in api.lines(PODS, query, 3600):
            ready.set()
            pod = json.loads(line)["object"] if line else {}
            if pod and pod["status"].get("phase") == "Succeeded" and pod["metadata"]["uid"] not in seen:
                seen.add(pod["metadata"]["uid"])
                done.put_nowait(pod)

    async def work() -> None:
        while True:
            resource = (await done.get())["metadata"]["labels"]["pfd.dev/job"]
            # suspended: no pod of it joins the load of what is measured
            await api.request("POST", JOBS, manifest(template, resource, f"{resource}-next", suspend=True))

    tasks = [asyncio.create_task(follow()), *(asyncio.create_task(work()) for _ in range(WORKERS))]
    await ready.wait()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.to_thread(os.read, 0, 1)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await api.close()


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1])))

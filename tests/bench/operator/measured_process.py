"""The operator as a process of its own, and what the kernel and its own /metrics say of it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from .control_plane import NAMESPACE

JOBS, PODS = "jobs", "pods"
SAMPLES = (
    "pfd_resource_events_total",
    "pfd_watch_cached_objects",
    "pfd_reconcile_seconds_count",
    "pfd_queue_depth",
    "pfd_queue_longest_wait_seconds",
)
"""What it is asked for many times a second: gauges that read every job would themselves be what is measured."""


class MeasuredOperator:
    """`python -m pfd_operator`, started and stopped.

    Parameters
    ----------
    kubeconfig
        The operator's own.
    port
        Of its /metrics.
    log
        Where its log goes.
    prefix
        Command that runs it, e.g. a profiler's.
    """

    def __init__(self, kubeconfig: Path, port: int, log: Path, prefix: tuple[str, ...] = ()) -> None:
        self._kubeconfig = kubeconfig
        self._port = port
        self._log = log
        self._prefix = prefix
        self._process: subprocess.Popen[bytes] | None = None
        self.started_at = 0.0

    @property
    def pid(self) -> int:
        """Of the process, which must run."""
        if self._process is None or self._process.poll() is not None:
            raise RuntimeError(f"the operator does not run: see {self._log}")
        return self._process.pid

    def start(self) -> None:
        """Start it, clusterwide and with a lease, as the chart does."""
        environment = os.environ | {
            "KUBECONFIG": str(self._kubeconfig),
            "PFD_NAMESPACE": NAMESPACE,
            "PFD_IDENTITY": "bench",
            "PFD_PROGRESS_PORT": "0",
            "PFD_METRICS_PORT": str(self._port),
            "PFD_WORKER_IMAGE": "worker",
            "PFD_PROGRESS_URL": f"http://pfd-operator.{NAMESPACE}.svc:8080",
            # compiled once, as in the image, whatever the caller's shell says
            "PYTHONDONTWRITEBYTECODE": "",
            "PYTHONPYCACHEPREFIX": str(self._log.parent / "pycache"),
        }
        with self._log.open("ab") as log:
            self.started_at = time.monotonic()
            command = [*self._prefix, sys.executable, "-m", "pfd_operator"]
            self._process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    def stop(self) -> None:
        """Stop it as Kubernetes would."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(30)
            self._process = None

    def rss_mib(self) -> float:
        """Return the resident memory, in MiB."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        (line,) = (line for line in lines if line.startswith("VmRSS:"))
        return int(line.split()[1]) / 1024

    def cpu_seconds(self) -> float:
        """Return user and system time since its start, in s."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def waited_for_cpu_seconds(self) -> float:
        """Return how long it was ready to run and had no core since its start, in s."""
        return int(Path(f"/proc/{self.pid}/schedstat").read_text().split()[1]) / 1e9

    async def gauges(self, session: aiohttp.ClientSession) -> dict[str, float]:
        """Return what /metrics says of `SAMPLES`: the name, with the watched resource where there is one → value."""
        query = [("name[]", name) for name in SAMPLES]
        async with session.get(f"http://127.0.0.1:{self._port}/metrics", params=query) as response:
            text = await response.text()
        values: dict[str, float] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                name = sample.name + sample.labels.get("resource", "")
                values[name] = values.get(name, 0.0) + sample.value
        return values

    async def settled(self, resources: int, jobs: int, seconds: float) -> float:
        """Wait until it holds so many resources, Jobs and pods, and has nothing left to do.

        Returns
        -------
        float
            When that was, monotonic, in s; known to 50 ms.
        """
        async with aiohttp.ClientSession() as session:
            deadline = time.monotonic() + seconds
            values: dict[str, float] = {}
            while time.monotonic() < deadline:
                now = time.monotonic()
                try:
                    values = await self.gauges(session)
                except aiohttp.ClientError:
                    self.pid  # noqa: B018 - raises if it died
                else:
                    if _is_settled(values, resources, jobs):
                        return now
                await asyncio.sleep(0.05)
        raise TimeoutError(f"the operator did not settle on {resources} resources in {seconds} s: {values}")


def _is_settled(values: dict[str, float], resources: int, jobs: int) -> bool:
    return (
        values.get("pfd_resource_events_total", 0.0) >= resources
        and values.get("pfd_watch_cached_objects" + JOBS, 0.0) >= jobs
        and values.get("pfd_watch_cached_objects" + PODS, 0.0) >= jobs
        and values.get("pfd_reconcile_seconds_count", 0.0) >= resources
        and values["pfd_queue_depth"] == 0
        and values["pfd_queue_longest_wait_seconds"] == 0
    )

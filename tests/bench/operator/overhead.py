"""What the operator adds to the wall time of stages that do nothing, beside plain Jobs, where kubelets are real.

Needs a release of the chart that serves the namespace, with the image worker-bench as its worker: `make bench-overhead`
installs one. The plain Jobs are copies of the operator's, made by the least anyone can do: the next one as soon as the
pods of the last succeeded. Both take turns.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
from pathlib import Path
from typing import Any

from pfd_operator.kube.api import KubeApi
from pfd_operator.kube.resources import collection_path
from tests.control_plane import ROOT
from tests.job_specs import job_body

from .seen import Seen

STAGES = 8
ITEMS, AT_A_TIME = 40, 8
COMMON: dict[str, Any] = {
    "exploration": {"stages": [{"temperaturesKelvin": [300]}], "pods": 1},
    "convergence": {"forceRMSE": 1e-6},
    "budget": {"maxIterations": 1, "maxLabels": 1000},
}
ONE_POD = {"labeling": {"engine": {"xtb": {}}, "parallelism": 1, "framesPerPod": 100}}
INDEXED = {
    "selection": {"framesPerIteration": ITEMS},
    "labeling": {"engine": {"xtb": {}}, "parallelism": AT_A_TIME, "framesPerPod": 1},
}


class Overhead:
    """Runs the same Jobs by the operator and plainly, and times both by the same watch."""

    def __init__(self, api: KubeApi, namespace: str, seen: Seen) -> None:
        self._api = api
        self._namespace = namespace
        self._seen = seen

    async def by_operator(self, name: str, changes: dict[str, Any]) -> list[str]:
        """Let a FineTuneJob run to its end; return the names of its Jobs, in their order."""
        resources = collection_path("FineTuneJob", self._namespace)
        await self._api.request("POST", resources, job_body(name, **COMMON | changes))

        def names() -> list[str]:
            return [job for job in self._seen.jobs if self._seen.jobs[job]["metadata"]["labels"]["pfd.dev/job"] == name]

        # prepare, and two iterations
        await self._seen.until(lambda: len(names()) == STAGES + 1 and self._seen.is_over(names()[-1]))
        await self._api.request("DELETE", f"{resources}/{name}")
        return names()

    async def plainly(self, name: str, like: list[str]) -> list[str]:
        """Run copies of Jobs one after the other; return their names."""
        collection = f"/apis/batch/v1/namespaces/{self._namespace}/jobs"
        names = [f"{name}-{number}" for number in range(len(like))]
        for job, original in zip(names, like, strict=True):
            await self._api.request("POST", collection, plain(self._seen.jobs[original], job))
            await self._seen.until(lambda job=job: self._seen.is_over(job))
        for job in names:
            await self._api.request("DELETE", f"{collection}/{job}", {"propagationPolicy": "Background"})
        return names

    def in_a_row(self, jobs: list[str]) -> float:
        """Return the seconds from the end of the first Job to that of the last."""
        return self._seen.ended_at[jobs[-1]] - self._seen.ended_at[jobs[0]]

    def of_one(self, job: str, following: str) -> float:
        """Return the seconds from a Job's creation to that of the one that follows it."""
        return self._seen.created_at[following] - self._seen.created_at[job]

    def indexed(self, jobs: list[str]) -> list[str]:
        """Return the Indexed Job of many items and the one that follows it."""
        place = next(i for i, job in enumerate(jobs) if self._seen.jobs[job]["spec"]["completions"] == ITEMS)
        return jobs[place : place + 2]


def plain(job: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a Job as another one, of no resource and with another name."""
    template, spec = job["spec"]["template"], job["spec"]
    kept = ("backoffLimit", "completions", "parallelism", "completionMode", "backoffLimitPerIndex", "maxFailedIndexes")
    metadata = {"labels": {"pfd.dev/job": name}, "annotations": template["metadata"]["annotations"]}
    return {
        "metadata": {"name": name, "labels": metadata["labels"]},
        "spec": {key: spec[key] for key in kept if key in spec} | {"template": {**template, "metadata": metadata}},
    }


async def measure(api: KubeApi, namespace: str, repetitions: int) -> dict[str, Any]:
    """Run both ways by turns; return medians, each value, and how much longer the operator's way took."""
    seen = Seen(api, namespace)
    watching = asyncio.create_task(seen.run())
    overhead = Overhead(api, namespace, seen)
    seconds: dict[str, dict[str, list[float]]] = {
        case: {"operator": [], "plain": []} for case in (f"stages{STAGES}", f"indexed{ITEMS}")
    }
    for number in range(repetitions + 1):
        jobs = await overhead.by_operator(f"row-{number}", ONE_POD)
        copies = await overhead.plainly(f"plain-row-{number}", jobs)
        row = {"operator": overhead.in_a_row(jobs), "plain": overhead.in_a_row(copies)}
        pair = overhead.indexed(await overhead.by_operator(f"items-{number}", INDEXED))
        copy = await overhead.plainly(f"plain-items-{number}", pair)
        items = {"operator": overhead.of_one(*pair), "plain": overhead.of_one(*copy)}
        sys.stderr.write(f"{number}: {row} {items}, load {os.getloadavg()[0]:.1f}\n")
        # the first time warms up: the image is unpacked, and caches are filled
        for case, values in zip(seconds, (row, items), strict=True):
            for way, value in values.items():
                seconds[case][way] += [value] if number else []
    watching.cancel()
    return {case: _summary(**ways) for case, ways in seconds.items()}


def _summary(operator: list[float], plain: list[float]) -> dict[str, Any]:
    by_operator, plainly = statistics.median(operator), statistics.median(plain)
    return {
        "operator_seconds": round(by_operator, 2),
        "plain_seconds": round(plainly, 2),
        "ratio": round(by_operator / plainly, 3),
        "operator_seconds_each": [round(value, 2) for value in operator],
        "plain_seconds_each": [round(value, 2) for value in plain],
    }


async def _main(options: argparse.Namespace) -> None:
    api = await KubeApi.connect()
    found = await measure(api, options.namespace, options.repetitions)
    await api.close()
    # into the results of the other scenarios, where there are some
    results = json.loads(options.output.read_text()) if options.output.exists() else {}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(results | {"overhead_over_plain_jobs": found}, indent=1) + "\n")
    sys.stdout.write(json.dumps(found, indent=1) + f"\n\nwritten to {options.output}\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--namespace", default="pfd-bench", help="which the operator serves")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--output", type=Path, default=ROOT / "build/bench/operator.json")
    asyncio.run(_main(parser.parse_args()))

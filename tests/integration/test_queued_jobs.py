"""A queue admits, preempts and admits again: its part, Job.spec.suspend, is played by the test, as Kueue would."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from pfd_operator.kube.api import MERGE_PATCH, KubeApi
from tests.integration.kubelet import Kubelet
from tests.integration.one_operator import conditions_of, create, kubelet, operator, status_of
from tests.until import until

pytestmark = pytest.mark.timeout(180)


# the API server takes what is drawn of them; nobody here allocates devices
CLAIMS = {"train": {"resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "h100"}]}}


class Queue:
    """Admits every Job with its label; preempts the first of a stage once a pod of it lives."""

    def __init__(self, api: KubeApi, namespace: str, node: Kubelet, preempted_stage: str) -> None:
        self._api = api
        self._jobs = f"/apis/batch/v1/namespaces/{namespace}/jobs"
        self._node = node
        self._stage = preempted_stage
        self.admitted: list[str] = []
        self.preempted: list[str] = []

    async def run(self) -> None:
        """Admit and preempt until cancelled."""
        query = {"labelSelector": "kueue.x-k8s.io/queue-name=gpus"}
        while True:
            for job in (await self._api.request("GET", self._jobs, query=query))["items"]:
                name, labels = job["metadata"]["name"], job["metadata"]["labels"]
                stage = int(labels["pfd.dev/iteration"]), labels["pfd.dev/stage"]
                if job["spec"]["suspend"] and not job.get("status", {}).get("active"):
                    await self._suspend(name, False)
                    self.admitted.append(name)
                elif stage[1] == self._stage and stage in self._node.most_live_jobs and not self.preempted:
                    await self._suspend(name, True)
                    self.preempted.append(name)
            await asyncio.sleep(0.1)

    async def _suspend(self, name: str, suspended: bool) -> None:
        await self._api.request(
            "PATCH", f"{self._jobs}/{name}", {"spec": {"suspend": suspended}}, content_type=MERGE_PATCH
        )


async def test_admitted_preempted_and_admitted_again(api: KubeApi, namespace: str, kubeconfig: Path) -> None:
    async def phase_or_reason() -> set[str]:
        status = await status_of(api, namespace)
        progressing = conditions_of(status).get("Progressing", {}) if status else {}
        return {str(status.get("phase")), str(progressing.get("reason"))}

    async def reached(wanted: str) -> bool:
        return wanted in await phase_or_reason()

    async with operator(namespace, kubeconfig), kubelet(api, namespace, seconds=0.5) as node:
        await create(api, namespace, queue={"name": "gpus"}, pods=CLAIMS, budget={"maxIterations": 1, "maxLabels": 40})
        await until(lambda: reached("Queued"), 10, "Queued")
        assert node.ran == [], "a pod ran before its Job was admitted"
        queue = Queue(api, namespace, node, preempted_stage="train")
        admitting = asyncio.create_task(queue.run())
        await until(lambda: reached("MaxIterations"), 60, "the end")
        admitting.cancel()
        with suppress(asyncio.CancelledError):
            await admitting
    assert len(queue.preempted) == 1
    # prepare, four stages of iterations 0 and 1, and what was preempted once more
    assert len(queue.admitted) == 10
    assert set(node.most_live_jobs.values()) == {1}

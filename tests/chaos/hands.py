"""Hands that meddle: Jobs and pods deleted, nodes drained and without power, S3 gone for a while, clocks set."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Coroutine
from typing import Any

from pfd_operator.kube.api import ApiError, KubeApi

from .faults import Book, Fault
from .installation import NAMESPACE
from .kubelet import Kubelets
from .operator_process import OperatorProcess
from .pods import GRACE_SECONDS, Pod
from .storage import StorageProxy

PAUSE_SECONDS = (0.2, 1.6)
POWER_CUT_SECONDS = (2.0, 20.0)
"""Shorter and longer than the operator's patience with a pod that does not go."""
_DEEDS = {
    Fault.POD_DELETED: 4,
    Fault.JOB_DELETED: 4,
    Fault.POD_EVICTED: 3,
    Fault.NODE_DRAINED: 1,
    Fault.NODE_LOST: 0.5,
    Fault.STORE_DOWN: 0.3,
    Fault.CLOCK_STEPPED: 0.5,
}
OUTAGE_SECONDS = (1.0, 15.0)
CLOCK_OFF_SECONDS = 3 * 3600.0
JOBS = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"


class Hands:
    """Do something to what runs, now and then."""

    def __init__(
        self,
        api: KubeApi,
        kubelets: Kubelets,
        storage: StorageProxy,
        operator: OperatorProcess,
        book: Book,
        seed: str,
    ) -> None:
        self._api = api
        self._kubelets = kubelets
        self._storage = storage
        self._operator = operator
        self._book = book
        self._random = random.Random(seed)
        self._cuts: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Meddle until cancelled."""
        while True:
            await asyncio.sleep(self._random.uniform(*PAUSE_SECONDS))
            pods = [pod for pod in self._kubelets.pods.values() if pod.started_at and not pod.life.stopping.is_set()]
            if pods:
                (deed,) = self._random.choices(list(_DEEDS), list(_DEEDS.values()))
                await self._do(deed, self._random.choice(pods), pods)

    async def settle(self) -> None:
        """Wait until every node and S3 are back."""
        if self._cuts:
            await asyncio.wait(self._cuts)

    async def _do(self, deed: Fault, pod: Pod, pods: list[Pod]) -> None:
        if deed is Fault.CLOCK_STEPPED:
            self._book.note(deed)
            self._operator.step_clock(self._random.uniform(-CLOCK_OFF_SECONDS, CLOCK_OFF_SECONDS))
        elif deed is Fault.STORE_DOWN:
            self._cut(self._storage.outage(self._random.uniform(*OUTAGE_SECONDS)))
        elif deed is Fault.NODE_LOST:
            if not self._kubelets.lost_nodes:
                self._book.note(deed)
                self._cut(self._kubelets.power_cut(pod.node, self._random.uniform(*POWER_CUT_SECONDS)))
        else:
            await self._do_to_pods(deed, pod, pods)

    def _cut(self, cut: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(cut)
        self._cuts.add(task)
        task.add_done_callback(self._cuts.discard)

    async def _do_to_pods(self, deed: Fault, pod: Pod, pods: list[Pod]) -> None:
        victims = [each for each in pods if each.node == pod.node] if deed is Fault.NODE_DRAINED else [pod]
        self._book.note(deed)
        for victim in victims:
            # before it is done: what follows from it may come before the answer
            victim.harmed = deed
            if deed is Fault.JOB_DELETED or victim.index is None:
                self._book.note_job(deed, victim.job)
            with contextlib.suppress(ApiError):
                await self._harm(deed, victim)

    async def _harm(self, deed: Fault, pod: Pod) -> None:
        if deed is Fault.JOB_DELETED:
            policy = self._random.choice(["Foreground", "Background"])
            await self._api.request("DELETE", f"{JOBS}/{pod.job}", {"propagationPolicy": policy})
        elif deed is Fault.POD_DELETED:
            await self._api.request(
                "DELETE", f"{self._kubelets.path}/{pod.name}", {"gracePeriodSeconds": GRACE_SECONDS}
            )
        else:
            name = {"name": pod.name, "namespace": NAMESPACE}
            body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": name}
            await self._api.request("POST", f"{self._kubelets.path}/{pod.name}/eviction", body)

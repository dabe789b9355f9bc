"""The course of a run: once without faults, then with kills and everything else, then without kills, then in peace."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any

from pfd_operator.kube.api import ApiError, KubeApi
from pfd_operator.kube.resources import collection_path
from tests.until import until

from .hands import JOBS, Hands
from .installation import NAMESPACE
from .judge import Ended, Ending
from .kubelet import Kubelets
from .operator_process import Killer, OperatorProcess
from .resources import PROFILES, Group, group, profile_of

LOOK_SECONDS = 0.5
LINGER_SECONDS = 3.0
"""After an end: what still comes too much, comes within it."""
KINDS = ("FineTuneJob", "DistillJob")
Status = dict[str, Any]


@dataclass
class Seen:
    """What was seen of the resources."""

    references: dict[str, Ending] = field(default_factory=dict)
    """By profile, of the run without faults."""
    ended: list[Ended] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)
    resources: int = 0


@dataclass
class Suite:
    """Everything that acts."""

    api: KubeApi
    operator: OperatorProcess
    kubelets: Kubelets
    hands: Hands
    killer: Killer
    weather: Callable[[bool], None]
    """Makes it bad or good."""
    seed: str
    settle_seconds: float
    seen: Seen = field(default_factory=Seen)
    _statuses: dict[str, Status] = field(default_factory=dict)
    _number: int = 0

    async def reference(self) -> None:
        """Let one group of each profile end without faults."""
        groups = [self._next(profile) for profile in PROFILES]
        for each in groups:
            await self._create(each)
        await asyncio.gather(*(self._to_its_end(each, self.settle_seconds) for each in groups))
        if self.seen.stuck:
            raise RuntimeError(f"without faults, these did not end: {self.seen.stuck}")

    async def storm(self, kills: int, groups_at_a_time: int, calm_groups: int) -> None:
        """Kill the operator and do everything else to ever new jobs; then everything else without kills."""
        dice = random.Random(self.seed)
        self.weather(True)
        async with self._meanwhile(self.hands.run()):
            killing = asyncio.create_task(self.killer.run(kills))
            try:
                await self.keep_busy(groups_at_a_time, self._drawn(dice, killing.done))
            finally:
                killing.cancel()
            await self._check(killing)
            self._say("kills done; the rest of the faults goes on")
            calm = [self._next(PROFILES[number % len(PROFILES)]) for number in range(calm_groups)]
            await self.keep_busy(groups_at_a_time, iter(calm))
        await self.hands.settle()
        self.weather(False)

    async def clean_up(self) -> None:
        """Delete what is left; with the resources, everything of theirs must go."""
        for kind in KINDS:
            for body in (await self.api.request("GET", collection_path(kind, NAMESPACE)))["items"]:
                await self._delete(kind, body["metadata"]["name"])
        try:
            await until(self._nothing_left, 90)
        except AssertionError:
            self.seen.leftovers += [f"{what} outlived its resource" for what in await self._children()]

    def watching(self) -> Any:
        """Keep the statuses known, as a context."""
        return self._meanwhile(self._look())

    async def keep_busy(self, at_a_time: int, groups: Iterator[Group]) -> None:
        """Keep so many groups going until there is none left to start, then until all have ended."""
        running: set[asyncio.Task[None]] = set()
        for each in groups:
            await self._create(each)
            running.add(asyncio.create_task(self._to_its_end(each, None)))
            while len(running) >= at_a_time:
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        # no new ones: each of these has as long as it takes once nobody kills the operator any more
        done, late = await asyncio.wait(running, timeout=self.settle_seconds) if running else (set(), set())
        for task in late:
            task.cancel()
            await asyncio.wait([task])
        for task in done | late:
            if not task.cancelled():
                task.result()

    def _drawn(self, dice: random.Random, enough: Callable[[], bool]) -> Iterator[Group]:
        while not enough():
            yield self._next(dice.choice(PROFILES))

    def _next(self, profile: str) -> Group:
        self._number += 1
        return group(profile, self._number)

    async def _create(self, group: Group) -> None:
        for body in group.bodies:
            await self.api.request("POST", collection_path(body["kind"], NAMESPACE), body)
            self.seen.resources += 1

    async def _to_its_end(self, group: Group, seconds: float | None) -> None:
        """Follow a group to its end, note how it ended, and delete it."""
        names = [name for _, name in group.names]
        waiting = set(names)
        try:
            async with asyncio.timeout(seconds):
                while waiting:
                    await asyncio.sleep(LOOK_SECONDS)
                    waiting = {name for name in names if "finishedAt" not in self._statuses.get(name, {})}
                await asyncio.sleep(LINGER_SECONDS)
                await until(lambda: self._over(names), seconds or self.settle_seconds, "the end of all its pods")
        except (TimeoutError, AssertionError, asyncio.CancelledError) as error:
            self.seen.stuck += [f"{name}: {_where(self._statuses.get(name, {}))}" for name in sorted(waiting)]
            if not waiting:
                self.seen.leftovers += [f"{what} is live after the end" for what in await self._live(names)]
            if isinstance(error, asyncio.CancelledError):
                raise
            return
        for body in group.bodies:
            await self._note(body)
        for kind, name in group.names:
            await self._delete(kind, name)

    async def _note(self, body: Status) -> None:
        name = body["metadata"]["name"]
        path = f"{collection_path(body['kind'], NAMESPACE)}/{name}"
        status = (await self.api.request("GET", path))["status"]
        found = Ending.of(status)
        expected = self.seen.references.setdefault(profile_of(name), found)
        prefix = body["spec"]["artifacts"]["s3"]["prefix"]
        digests = frozenset(record["digest"] for record in status.get("stages", ()))
        self.seen.ended.append(Ended(name, expected, found, prefix, digests))
        if found != expected:
            self._say(f"different end: {name}: {found}")

    async def _live(self, names: list[str]) -> list[str]:
        """Return the Jobs of these resources that have not ended, and their pods."""
        selector = {"labelSelector": f"pfd.dev/job in ({','.join(names)})"}
        jobs = (await self.api.request("GET", JOBS, query=selector))["items"]
        live = [f"Job {job['metadata']['name']}" for job in jobs if not _finished(job)]
        pods = (await self.api.request("GET", self.kubelets.path, query=selector))["items"]
        going = [pod for pod in pods if pod["status"].get("phase") not in ("Succeeded", "Failed")]
        return live + [f"pod {pod['metadata']['name']}" for pod in going]

    async def _over(self, names: list[str]) -> bool:
        await asyncio.sleep(LOOK_SECONDS)
        return not await self._live(names)

    async def _children(self) -> list[str]:
        paths = {"Job": JOBS, "pod": self.kubelets.path, "ConfigMap": f"/api/v1/namespaces/{NAMESPACE}/configmaps"}
        return [
            f"{kind} {item['metadata']['name']}"
            for kind, path in paths.items()
            for item in (await self.api.request("GET", path))["items"]
            if item["metadata"]["name"] != "kube-root-ca.crt"
        ]

    async def _nothing_left(self) -> bool:
        await asyncio.sleep(LOOK_SECONDS)
        return not await self._children()

    async def _delete(self, kind: str, name: str) -> None:
        with contextlib.suppress(ApiError):
            await self.api.request("DELETE", f"{collection_path(kind, NAMESPACE)}/{name}")

    async def _look(self) -> None:
        while True:
            with contextlib.suppress(ApiError):
                for kind in KINDS:
                    for body in (await self.api.request("GET", collection_path(kind, NAMESPACE)))["items"]:
                        self._statuses[body["metadata"]["name"]] = body.get("status") or {}
            await asyncio.sleep(LOOK_SECONDS)

    @contextlib.asynccontextmanager
    async def _meanwhile(self, work: Coroutine[Any, Any, None]) -> Any:
        task = asyncio.create_task(work)
        try:
            yield
        finally:
            task.cancel()
            await self._check(task)

    async def _check(self, task: asyncio.Task[None]) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await task

    def _say(self, words: str) -> None:
        sys.stderr.write(f"{time.strftime('%H:%M:%S')} {words}\n")


def _finished(job: Status) -> bool:
    conditions = job.get("status", {}).get("conditions", ())
    return any(item["type"] in ("Complete", "Failed") and item["status"] == "True" for item in conditions)


def _where(status: Status) -> str:
    return f"{status.get('phase', 'no status')}, {json.dumps(status.get('active', {}))}"

"""Kubernetes in miniature: Jobs and pods as they are, and everything that can happen to them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime

from pfd_operator.contract.result import ExitCode, Reason, StageResult
from pfd_operator.contract.stage import StageKind
from pfd_operator.plan.observed import JobEnd, ObservedJob, ObservedPod, PodPhase
from pfd_operator.plan.types import PlannedJob
from tests.unit.operator.plan.plan_samples import SETTINGS, after
from tests.unit.operator.plan.plan_workflows import Workflow

COUNTED_MAX = SETTINGS.max_counted_failures - 1
LEAST_MEMORY, ENOUGH_MEMORY = "1Gi", "4Gi"


@dataclass
class TrueJob:
    """A Job and its pods as they are; caches may lag behind."""

    planned: PlannedJob
    uid: str
    created_at: datetime
    deleting: bool = False
    finished: JobEnd | None = None
    pods: dict[str, ObservedPod] = field(default_factory=dict)

    @property
    def key(self) -> tuple[int, StageKind]:
        return self.planned.spec.iteration, self.planned.spec.stage

    @property
    def indexes(self) -> list[int | None]:
        completions = self.planned.completions
        return [None] if completions is None else list(range(completions))

    def done(self) -> set[int | None]:
        return {pod.index for pod in self.pods.values() if pod.phase == "Succeeded"}

    def unended_pods(self) -> list[ObservedPod]:
        return [pod for pod in self.pods.values() if not pod.ended]

    def live_pods(self, now: datetime) -> list[ObservedPod]:
        return [
            pod
            for pod in self.unended_pods()
            if pod.grace_ends_at is None or (now - pod.grace_ends_at).total_seconds() < SETTINGS.node_lost_after_seconds
        ]

    def live(self, now: datetime) -> bool:
        """May run pods, now or later."""
        if self.live_pods(now):
            return True
        if self.deleting or self.finished is not None:
            return False
        if self.planned.completions is None:
            return not self.pods
        return len(self.done()) < self.planned.completions

    def observed(self) -> ObservedJob:
        spec = self.planned.spec
        return ObservedJob(
            self.planned.name,
            self.uid,
            spec.iteration,
            spec.stage,
            spec.attempt,
            created_at=self.created_at,
            deleting=self.deleting,
            finished=self.finished,
            completions=self.planned.completions,
            succeeded_indexes=0 if self.planned.completions is None else len(self.done()),
            pods=tuple(self.pods.values()),
        )

    def orphan(self) -> ObservedJob:
        """The Job as its live pods know it when it is gone."""
        spec = self.planned.spec
        pods = tuple(self.unended_pods())
        return ObservedJob(
            self.planned.name, self.uid, spec.iteration, spec.stage, spec.attempt, deleting=True, pods=pods
        )


class Kubernetes:
    """The truth; caches may lag behind."""

    def __init__(self, workflow: Workflow) -> None:
        self.seconds = 0.0
        self.workflow = workflow
        self.jobs: dict[str, TrueJob] = {}
        self.orphaned: list[TrueJob] = []
        """Deleted in the background: their names are free, and their pods are still on their way out."""
        self.committed: set[tuple[str, int | None]] = set()
        self.counted: dict[tuple[int, StageKind], int] = {}
        self._serial = 0

    @property
    def now(self) -> datetime:
        return after(self.seconds)

    def create(self, planned: PlannedJob) -> None:
        """Create a Job; one that exists under this name is the same."""
        if planned.name not in self.jobs:
            self._serial += 1
            self.jobs[planned.name] = TrueJob(planned, f"uid-{self._serial}", self.now)

    def control(self) -> None:
        """The Job controller: pods for Jobs that need some, verdicts, and the end of deletions."""
        self.orphaned = [job for job in self.orphaned if job.unended_pods()]
        for name, job in list(self.jobs.items()):
            if job.deleting:
                if not job.unended_pods():
                    del self.jobs[name]
            elif job.finished is None:
                self._control(job)

    def _control(self, job: TrueJob) -> None:
        waiting = {pod.index for pod in job.unended_pods()}
        if len(job.done()) == len(job.indexes):
            job.finished = "Complete"
        elif job.planned.completions is None and job.pods:
            job.finished = None if waiting else "Failed"
        else:
            for index in set(job.indexes) - waiting - job.done():
                self._serial += 1
                name = f"pod-{self._serial}"
                job.pods[name] = ObservedPod(name, "Pending", index=index, created_at=self.now)

    def work(self, number: int) -> None:
        """A pod goes a step on: it starts, or it ends well."""
        pods = list(self._running_pods())
        if not pods:
            return self.control()
        job, pod = pods[number % len(pods)]
        if pod.phase == "Pending":
            job.pods[pod.name] = replace(pod, phase="Running", started_at=self.now)
            return None
        spec = job.planned.spec
        commit = (spec.digest, pod.index)
        result = self.workflow.answer(spec, reused=commit in self.committed)
        self.committed.add(commit)
        self._end(job, pod, "Succeeded", 0, result)
        return None

    def lose_result(self, number: int) -> None:
        """A pod commits its work and its message is lost."""
        job, pod = self._pick(number)
        if job is None or pod is None or not self._may_fail(job):
            return
        self.committed.add((job.planned.spec.digest, pod.index))
        self._end(job, pod, "Failed", None, None)

    def fail(self, number: int) -> None:
        """A pod fails for a passing reason; never as often as the limit allows, but for outages of a store it knows."""
        job, pod = self._pick(number)
        if job is None or pod is None:
            return
        outage = number % 2 and job.planned.spec.stage is not StageKind.PREPARE
        if outage or self._may_fail(job):
            reason = Reason.STORE_UNAVAILABLE if outage else Reason.ENGINE_LOST
            result = StageResult(ok=False, reason=reason, message="no answer")
            self._end(job, pod, "Failed", ExitCode.TRANSIENT, result)

    def exhaust(self, number: int) -> None:
        """A pod is killed for its memory limit, if that is not the one that suffices."""
        job, pod = self._pick(number)
        if job is not None and pod is not None:
            planned = job.planned
            limit = planned.owner.spec.pods.of(planned.spec.stage).resources.memory_limit
            if limit != ENOUGH_MEMORY:
                self._end(job, pod, "Failed", 137, None)
                job.pods[pod.name] = replace(job.pods[pod.name], container_reason="OOMKilled")

    def preempt(self, number: int) -> None:
        """A pod is stopped from outside and saves its work."""
        job, pod = self._pick(number)
        if job is not None and pod is not None:
            result = StageResult(ok=False, reason=Reason.PREEMPTED, message="stopped")
            self._end(job, pod, "Failed", ExitCode.PREEMPTED, result)
            if number % 2:
                self.forget_pod(job, pod)

    def forget_pod(self, job: TrueJob, pod: ObservedPod) -> None:
        """The pod's object is gone before anybody read it; its Job noticed the failure."""
        del job.pods[pod.name]
        if job.planned.completions is None and not job.deleting:
            job.finished = "Failed"

    def lose_node(self, number: int) -> None:
        """A pod stands in Terminating for ever."""
        job, pod = self._pick(number)
        if job is not None and pod is not None and pod.grace_ends_at is None:
            job.pods[pod.name] = replace(pod, grace_ends_at=self.now)

    def delete_job(self, number: int) -> None:
        """Somebody deletes a Job."""
        if self.jobs:
            self._delete(self.jobs[sorted(self.jobs)[number % len(self.jobs)]])

    def delete_job_in_background(self, number: int) -> None:
        """Somebody deletes a Job, which is gone at once; its pods follow."""
        if self.jobs:
            job = self.jobs.pop(sorted(self.jobs)[number % len(self.jobs)])
            self._delete(job)
            self.orphaned.append(job)

    def terminate(self, number: int) -> None:
        """A pod that is to go, goes."""
        going = [(job, pod) for job, pod in self._running_pods() if pod.grace_ends_at is not None]
        if going:
            job, pod = going[number % len(going)]
            self._end(job, pod, "Failed", 137, None)

    def _delete(self, job: TrueJob) -> None:
        job.deleting = True
        for pod in job.unended_pods():
            if pod.grace_ends_at is None:
                job.pods[pod.name] = replace(pod, grace_ends_at=self.now)

    def _may_fail(self, job: TrueJob) -> bool:
        if job.planned.completions is not None:
            # the Job controller tries an index again by itself
            return True
        self.counted[job.key] = self.counted.get(job.key, 0) + 1
        return self.counted[job.key] <= COUNTED_MAX

    def _end(
        self, job: TrueJob, pod: ObservedPod, phase: PodPhase, code: int | None, result: StageResult | None
    ) -> None:
        job.pods[pod.name] = replace(
            pod, phase=phase, exit_code=code, result=result, finished_at=self.now, container="stage" if code else ""
        )

    def _running_pods(self) -> Iterator[tuple[TrueJob, ObservedPod]]:
        for job in [*(self.jobs[name] for name in sorted(self.jobs)), *self.orphaned]:
            for pod in job.unended_pods():
                yield job, pod

    def _pick(self, number: int) -> tuple[TrueJob | None, ObservedPod | None]:
        pods = [(job, pod) for job, pod in self._running_pods() if pod.phase == "Running"]
        return pods[number % len(pods)] if pods else (None, None)

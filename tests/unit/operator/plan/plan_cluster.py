"""A cluster in miniature that can lose, double, delay and reorder, with an operator that can die at any point."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import pairwise

from plan_samples import SETTINGS, TEACHER, after, distill_resource, distill_result, good_result, resource

from pfd_operator.api.conditions import Phase
from pfd_operator.api.job import Stop
from pfd_operator.api.status import DistillJobStatus, FineTuneJobStatus, JobStatus
from pfd_operator.contract.result import ExitCode, Reason, StageResult
from pfd_operator.contract.stage import StageKind
from pfd_operator.plan.loop import plan
from pfd_operator.plan.types import (
    Action,
    CreateJob,
    DeleteJob,
    Observed,
    ObservedJob,
    ObservedPod,
    ObservedTeacher,
    PlannedJob,
    Resource,
)

ORDER = (StageKind.EXPLORE, StageKind.SELECT, StageKind.LABEL, StageKind.TRAIN)
COUNTED_MAX = SETTINGS.max_counted_failures - 1


@dataclass
class TrueJob:
    """A Job and its pods as they are; caches may lag behind."""

    planned: PlannedJob
    uid: str
    created_at: datetime
    deleting: bool = False
    finished: str | None = None
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

    def live_pods(self, now: datetime) -> list[ObservedPod]:
        return [
            pod
            for pod in self.pods.values()
            if pod.phase in ("Pending", "Running")
            and (
                pod.deleting_since is None
                or (now - pod.deleting_since).total_seconds() < SETTINGS.node_lost_after_seconds
            )
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


@dataclass(frozen=True)
class Workflow:
    """A job, what its stages answer, and the order in which they must come."""

    resource: Resource
    status: type[JobStatus]
    answer: Callable[..., StageResult]
    order: tuple[tuple[int, StageKind], ...]
    teacher: ObservedTeacher | None = None


FINE_TUNING = Workflow(
    resource(),
    FineTuneJobStatus,
    good_result,
    ((0, StageKind.PREPARE), *((iteration, stage) for iteration in range(3) for stage in ORDER)),
)
DISTILLING = Workflow(
    distill_resource(),
    DistillJobStatus,
    distill_result,
    (
        (0, StageKind.PREPARE),
        *((0, stage) for stage in ORDER[:3]),
        *((iteration, stage) for iteration in (1, 2) for stage in ORDER),
        (2, StageKind.ACCEPT),
    ),
    TEACHER,
)


class Cluster:
    """Truth, the operator's view of it, and everything that can happen to either."""

    def __init__(self, workflow: Workflow = FINE_TUNING) -> None:
        self.seconds = 0.0
        self.workflow = workflow
        self.resource: Resource = workflow.resource
        self.seen_resource = self.resource
        self.status = workflow.status()
        self.jobs: dict[str, TrueJob] = {}
        self.view: dict[str, ObservedJob] = {}
        self.committed: set[tuple[str, int | None]] = set()
        self.counted: dict[tuple[int, StageKind], int] = {}
        self.recorded: list[tuple[int, StageKind]] = []
        self._serial = 0

    @property
    def now(self) -> datetime:
        return after(self.seconds)

    # the operator

    def reconcile(self, crash: int = 0) -> None:
        """Gather, plan, apply. crash 1: before the status is written; 2: after it; 3: after the first action."""
        observed = Observed(jobs=tuple(self.view.values()), teacher=self.workflow.teacher)
        decision = plan(self.seen_resource, self.status, observed, SETTINGS, self.now)
        again = plan(self.seen_resource, self.status, observed, SETTINGS, self.now)
        assert decision == again
        if crash == 1:
            return self.restart()
        if self.seen_resource != self.resource:
            # the resource changed meanwhile: 409, the decision is dropped
            self.seen_resource = self.resource
            return None
        self._write(decision.status)
        if crash == 2:
            return self.restart()
        for action in sorted(decision.actions, key=lambda action: isinstance(action, CreateJob)):
            self._act(action)
            if crash == 3:
                return self.restart()
        self._check_rest(observed)
        return None

    def _check_rest(self, observed: Observed) -> None:
        """What was seen to live while nothing should, is on its way out."""
        if self.status.phase in (Phase.RUNNING, Phase.PENDING):
            return
        for seen in observed.jobs:
            job = self.jobs.get(seen.name)
            assert job is None or job.deleting or not job.live(self.now), f"{seen.name} lives on: {self.status.phase}"

    def restart(self) -> None:
        """A new operator lists everything before it decides anything."""
        self.seen_resource = self.resource
        self.view = {name: job.observed() for name, job in self.jobs.items()}

    def deliver(self, number: int) -> None:
        """One watch event comes through, in any order, or several times."""
        names = sorted(self.jobs.keys() | self.view.keys())
        if names:
            self._deliver(names[number % len(names)])
        self.seen_resource = self.resource

    def deliver_pods_late(self, number: int) -> None:
        """The Job's event comes, those of its pods do not."""
        if self.jobs:
            name = sorted(self.jobs)[number % len(self.jobs)]
            old = self.view.get(name)
            self.view[name] = replace(self.jobs[name].observed(), pods=old.pods if old else ())

    def deliver_all(self) -> None:
        for name in [*self.jobs, *self.view]:
            self._deliver(name)
        self.seen_resource = self.resource

    def _deliver(self, name: str) -> None:
        if name in self.jobs:
            self.view[name] = self.jobs[name].observed()
        else:
            self.view.pop(name, None)

    def _write(self, status: JobStatus) -> None:
        old = [(record.iteration, record.stage) for record in self.status.stages]
        new = [(record.iteration, record.stage) for record in status.stages]
        assert new[: len(old)] == old, "history was rewritten"
        self.recorded += new[len(old) :]
        assert len(set(self.recorded)) == len(self.recorded), "an outcome was recorded twice"
        # what is stored is what was written, not the objects
        self.status = self.workflow.status.model_validate(status.to_json())

    def _act(self, action: Action) -> None:
        if isinstance(action, CreateJob) and action.job.name not in self.jobs:
            self._serial += 1
            self.jobs[action.job.name] = TrueJob(action.job, f"uid-{self._serial}", self.now)
        elif isinstance(action, DeleteJob):
            job = self.jobs.get(action.name)
            if job is not None and job.uid == action.uid:
                self._delete(job)

    # Kubernetes

    def control(self) -> None:
        """The Job controller: pods for Jobs that need some, verdicts, and the end of deletions."""
        for name, job in list(self.jobs.items()):
            if job.deleting:
                if not any(pod.phase in ("Pending", "Running") for pod in job.pods.values()):
                    del self.jobs[name]
            elif job.finished is None:
                self._control(job)

    def _control(self, job: TrueJob) -> None:
        waiting = {pod.index for pod in job.pods.values() if pod.phase in ("Pending", "Running")}
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
        """A pod fails for a passing reason; never as often as the limit allows."""
        job, pod = self._pick(number)
        if job is not None and pod is not None and self._may_fail(job):
            result = StageResult(ok=False, reason=Reason.STORE_UNAVAILABLE, message="no answer")
            self._end(job, pod, "Failed", ExitCode.TRANSIENT, result)

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
        if job is not None and pod is not None and pod.deleting_since is None:
            job.pods[pod.name] = replace(pod, deleting_since=self.now)

    def delete_job(self, number: int) -> None:
        """Somebody deletes a Job."""
        if self.jobs:
            self._delete(self.jobs[sorted(self.jobs)[number % len(self.jobs)]])

    def terminate(self, number: int) -> None:
        """A pod that is to go, goes."""
        going = [(job, pod) for job, pod in self._running_pods() if pod.deleting_since is not None]
        if going:
            job, pod = going[number % len(going)]
            self._end(job, pod, "Failed", 137, None)

    def _delete(self, job: TrueJob) -> None:
        job.deleting = True
        for pod in job.pods.values():
            if pod.phase in ("Pending", "Running") and pod.deleting_since is None:
                job.pods[pod.name] = replace(pod, deleting_since=self.now)

    def _may_fail(self, job: TrueJob) -> bool:
        if job.planned.completions is not None:
            # the Job controller tries an index again by itself
            return True
        self.counted[job.key] = self.counted.get(job.key, 0) + 1
        return self.counted[job.key] <= COUNTED_MAX

    def _end(self, job: TrueJob, pod: ObservedPod, phase: str, code: int | None, result: StageResult | None) -> None:
        job.pods[pod.name] = replace(
            pod, phase=phase, exit_code=code, result=result, finished_at=self.now, container="stage" if code else ""
        )

    def _running_pods(self) -> Iterator[tuple[TrueJob, ObservedPod]]:
        for name in sorted(self.jobs):
            job = self.jobs[name]
            for pod in job.pods.values():
                if pod.phase in ("Pending", "Running"):
                    yield job, pod

    def _pick(self, number: int) -> tuple[TrueJob | None, ObservedPod | None]:
        pods = [(job, pod) for job, pod in self._running_pods() if pod.phase == "Running"]
        return pods[number % len(pods)] if pods else (None, None)

    # the user

    def edit(self, **changes: object) -> None:
        spec = type(self.resource.spec).model_validate(self.resource.spec.model_copy(update=changes).to_json())
        self.resource = replace(self.resource, spec=spec, generation=self.resource.generation + 1)

    def stop(self, number: int) -> None:
        self.edit(stop=(Stop.NOW, Stop.AFTER_ITERATION)[number % 2])

    # what must always hold

    def check(self) -> None:
        live = [job.key for job in self.jobs.values() if job.live(self.now)]
        assert len(set(live)) == len(live), f"two live Jobs for one stage: {live}"
        for one, next_one in pairwise(self.recorded):
            assert self.place(one) + 1 == self.place(next_one), f"{one} → {next_one}"

    def place(self, key: tuple[int, StageKind]) -> int:
        """Number of a stage in the order of all."""
        return self.workflow.order.index(key)

    def run_to_the_end(self) -> None:
        """Nothing happens any more but good work: the job must come to its end."""
        self.edit(suspend=False, stop=None)
        for _ in range(400):
            self.deliver_all()
            self.reconcile()
            self.check()
            if self.status.phase.terminal:
                return
            self.control()
            for number in range(6):
                self.terminate(0)
                self.work(number)
            self.control()
            self.seconds += 20
        raise AssertionError(f"no end: {self.status.phase} {self.status.active} {self.view}")

    def thrive(self, number: int) -> None:
        """For a while everything goes well."""
        cycles = number
        for _ in range(cycles):
            self.deliver_all()
            self.reconcile()
            self.check()
            self.control()
            for pod in range(3):
                self.terminate(0)
                self.work(pod)
            self.control()
            self.seconds += 10
        if self.status.phase is not Phase.RUNNING and self.status.phase is not Phase.PENDING:
            assert not [job for job in self.jobs.values() if job.live(self.now)], f"live while {self.status.phase}"

    def settle(self) -> None:
        """Let what still goes, go."""
        for _ in range(6):
            self.deliver_all()
            self.reconcile()
            self.control()
            for _ in range(6):
                self.terminate(0)
        assert not [job for job in self.jobs.values() if job.live(self.now)], "something still runs"
        assert self.status.phase is Phase.CONVERGED

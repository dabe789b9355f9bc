"""A cluster in miniature that can lose, double, delay and reorder, with an operator that can die at any point."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from pfd_operator.api.conditions import Phase
from pfd_operator.api.job import Restart, Stop
from pfd_operator.api.pods import Pods
from pfd_operator.api.status import JobStatus
from pfd_operator.contract.stage import StageKind
from pfd_operator.plan.loop import plan
from pfd_operator.plan.observed import Observed, ObservedJob
from pfd_operator.plan.types import Action, CreateConfigMap, CreateJob, CreateService, Decision, DeleteJob, Resource
from tests.unit.operator.plan.plan_kubernetes import LEAST_MEMORY, Kubernetes
from tests.unit.operator.plan.plan_samples import SETTINGS
from tests.unit.operator.plan.plan_workflows import FINE_TUNING, Workflow


def _place(action: Action) -> int:
    match action:
        case DeleteJob(ended=ended):
            return 3 if ended else 0
        case CreateJob():
            return 2
        case CreateConfigMap() | CreateService():
            return 1


def narrow_pods(resource: Resource, **overrides: object) -> Pods:
    """Return pods that may turn out to need more memory, twice at most."""
    mine = {"resources": {"limits": {"memory": LEAST_MEMORY}}, **overrides}
    kind = type(resource.spec.pods)
    stages = [stage.value for stage in StageKind if stage.value in kind.model_fields]
    return kind.model_validate(dict.fromkeys(stages, mine))


class Cluster(Kubernetes):
    """Truth, the operator's view of it, and everything that can happen to either."""

    def __init__(self, workflow: Workflow = FINE_TUNING) -> None:
        super().__init__(workflow)
        spec = workflow.resource.spec.model_copy(update={"pods": narrow_pods(workflow.resource), "memory_steps": 2})
        self.resource: Resource = replace(workflow.resource, spec=spec)
        self.seen_resource = self.resource
        self.status = workflow.status()
        self.view: dict[str, ObservedJob] = {}
        self.recorded: list[tuple[int, StageKind]] = []

    # the operator

    def reconcile(self, crash: int = 0) -> None:
        """Gather, plan, apply. crash 1: before the status is written; 2: after it; 3: after the first action."""
        observed = Observed(jobs=tuple(self.view.values()), teacher=self.workflow.teacher)
        decision = self._plan(observed)
        if decision.unseen:
            observed = replace(observed, jobs=self.asked())
            decision = self._plan(observed)
        if crash == 1:
            return self.restart()
        if self.seen_resource != self.resource:
            # the resource changed meanwhile: 409, the decision is dropped
            self.seen_resource = self.resource
            return None
        self._write(decision.status)
        if crash == 2:
            return self.restart()
        for action in sorted(decision.actions, key=_place):
            self._act(action)
            if crash == 3:
                return self.restart()
        self._check_rest(observed)
        return None

    def _plan(self, observed: Observed) -> Decision:
        decision = plan(self.seen_resource, self.status, observed, SETTINGS, self.now)
        assert decision == plan(self.seen_resource, self.status, observed, SETTINGS, self.now)
        return decision

    def asked(self) -> tuple[ObservedJob, ...]:
        """What the API server says: Jobs, and those that are gone as their live pods know them."""
        present = [job.observed() for job in self.jobs.values()]
        return (*present, *(job.orphan() for job in self.orphaned if job.unended_pods()))

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
        if status.restart_id != self.status.restart_id and len(new) < len(old):
            assert old[: len(new)] == new, "history was rewritten"
            self.recorded = list(new)
        else:
            assert new[: len(old)] == old, "history was rewritten"
            self.recorded += new[len(old) :]
        assert len(set(self.recorded)) == len(self.recorded), "an outcome was recorded twice"
        # what is stored is what was written, not the objects
        self.status = self.workflow.status.model_validate(status.to_json())

    def _act(self, action: Action) -> None:
        if isinstance(action, CreateJob):
            self.create(action.job)
        elif isinstance(action, DeleteJob):
            job = self.jobs.get(action.name)
            if job is not None and job.uid == action.uid:
                assert not (action.ended and job.live(self.now)), f"{action.name} was deleted as one that had ended"
                self._delete(job)

    # the user

    def edit(self, **changes: object) -> None:
        spec = type(self.resource.spec).model_validate(self.resource.spec.model_copy(update=changes).to_json())
        self.resource = replace(self.resource, spec=spec, generation=self.resource.generation + 1)

    def stop(self, number: int) -> None:
        self.edit(stop=(Stop.NOW, Stop.AFTER_ITERATION)[number % 2])

    def rewind(self, number: int) -> None:
        """Ask for a restart: of one of the iterations that every end has, or of one that cannot be begun."""
        word = f"{self.resource.generation}"
        self.edit(restart=Restart(from_iteration=(0, 1, 2, 9)[number % 4], id=word))

    def move(self, number: int) -> None:
        """Ask for other nodes."""
        self.edit(pods=narrow_pods(self.resource, nodeSelector={"pool": f"{number}"}))

    # what must always hold

    def check(self) -> None:
        live = [job.key for job in (*self.jobs.values(), *self.orphaned) if job.live(self.now)]
        assert len(set(live)) == len(live), f"two live Jobs for one stage: {live}"
        for one, next_one in pairwise(self.recorded):
            assert self.place(one) + 1 == self.place(next_one), f"{one} → {next_one}"

    def place(self, key: tuple[int, StageKind]) -> int:
        """Number of a stage in the order of all."""
        return self.workflow.order.index(key)

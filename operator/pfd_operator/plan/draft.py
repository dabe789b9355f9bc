"""A decision in the making: the one mutable thing in planning, alive for one call of `plan`."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pfd_operator.api.conditions import ConditionType, OperatorReason, Phase
from pfd_operator.api.job import JobSpec
from pfd_operator.api.status import ActiveStage, Condition, JobStatus

from .conditions import ROOM, find_true, with_condition
from .observed import Observed, ObservedJob
from .outcome import fitted
from .recipe import AnyRecipe, Position
from .spec_digest import former_spec_digest, spec_digest
from .stages import StagePlan, plan_stage
from .types import Action, Decision, DeleteJob, Event, Resource, Settings

SOONEST_LOOK_SECONDS = 0.1
"""For what is a little before its time by rounding, in s."""


@dataclass
class Draft:
    """What is known, and what has been decided so far."""

    recipe: AnyRecipe
    resource: Resource
    status: JobStatus
    observed: Observed
    settings: Settings
    now: datetime
    actions: list[Action] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    unseen: bool = False
    """Something was decided because something is not seen."""
    _wakes: list[float] = field(default_factory=list)

    @property
    def spec(self) -> JobSpec:
        """The spec as it is now."""
        return self.resource.spec

    @property
    def spec_differs(self) -> bool:
        """Say whether a frozen part of the spec is not what the job started with, or was restarted with."""
        untouched = self.status.spec_generation == self.resource.generation
        kept = self.status.spec_digest
        return not untouched and kept != spec_digest(self.spec) and kept != former_spec_digest(self.spec)

    @property
    def restart_pending(self) -> bool:
        """Say whether the spec asks for a restart that was not dealt with yet."""
        wanted = self.spec.restart
        return wanted is not None and wanted.id != self.status.restart_id and self.status.started_at is not None

    @property
    def held_by_spec(self) -> bool:
        """Say whether the job holds still: a frozen part of its spec was changed, and no restart is to take it up."""
        return self.spec_differs and not self.restart_pending

    @property
    def was_held(self) -> bool:
        """Say whether it held still for that when it was last looked at, and has not gone on since."""
        return find_true(self.status, ConditionType.SPEC_CHANGED) is not None

    @property
    def active(self) -> ActiveStage | None:
        """The running stage."""
        return self.status.active

    @property
    def active_job(self) -> ObservedJob | None:
        """The Job of the running stage, if it is seen."""
        if self.status.active is None:
            return None
        return next((job for job in self.observed.jobs if job.name == self.status.active.job_name), None)

    @property
    def running(self) -> ActiveStage:
        """The running stage, where there must be one."""
        if self.status.active is None:
            raise RuntimeError("no stage runs")
        return self.status.active

    @property
    def running_job(self) -> ObservedJob:
        """The Job of the running stage, where it must be seen."""
        job = self.active_job
        if job is None:
            raise RuntimeError(f"Job {self.running.job_name} is not seen")
        return job

    @property
    def ended_seconds(self) -> int:
        """For how long the job has been over, in s; 0 if it is not."""
        ended = self.status.finished_at
        return 0 if ended is None else int((self.now - ended).total_seconds())

    def planned(self, position: Position, status: JobStatus | None = None) -> StagePlan:
        """Return what a stage has to do by the status as it is, or by another one."""
        return plan_stage(self.recipe, self.spec, status or self.status, self.settings, position)

    def freeze_spec(self) -> None:
        """Take the spec as it is now for the one that must not change."""
        self.set(spec_digest=spec_digest(self.spec), spec_generation=self.resource.generation)

    def set(self, **fields: Any) -> None:
        """Change fields of the status."""
        self.status = self.status.model_copy(update=fields)

    def set_active(self, **fields: Any) -> None:
        """Change fields of the running stage's record."""
        self.set(active=self.running.model_copy(update=fields))

    def condition(self, kind: ConditionType, value: bool, reason: str, message: str) -> Condition:
        """Set a condition and return it."""
        self.status = with_condition(self.status, kind, value, reason, message, self.resource.generation, self.now)
        return next(condition for condition in self.status.conditions if condition.type == kind)

    def show_nothing_stuck(self) -> None:
        """Say that nothing keeps the running stage from its work."""
        self.condition(ConditionType.STUCK, False, OperatorReason.NOT_STUCK, "")

    def wait_no_longer(self) -> None:
        """Say so of an attempt that ends while it waits for room, unless the next one is to wait on."""
        stuck = find_true(self.status, ConditionType.STUCK)
        if stuck is not None and stuck.reason in ROOM:
            self.show_nothing_stuck()

    def tell(self, reason: str, message: str, warning: bool = False) -> None:
        """Emit an Event."""
        self.events.append(Event(str(reason), message, warning))

    def delete(self, job: ObservedJob, ended: bool = False) -> None:
        """Delete a Job, once."""
        action = DeleteJob(job.name, job.uid, ended)
        if not job.deleting and action not in self.actions:
            self.actions.append(action)

    def wake(self, seconds: float) -> None:
        """Ask to be called again after this long at the latest.

        A time that is past asks for nothing: this call has already seen what it brought, and to be called at once,
        again and again, would keep the other jobs from their turn.
        """
        if 0 < seconds < math.inf:
            self._wakes.append(max(SOONEST_LOOK_SECONDS, seconds))

    def finish_suspension(self, at: datetime | None = None) -> None:
        """Count the time for which the job was suspended, if it was, as time that the deadline does not count.

        Parameters
        ----------
        at
            When that ended; None for now.
        """
        since = self.status.suspended_at
        if since is not None:
            seconds = max(0, int(((at or self.now) - since).total_seconds()))
            self.set(suspended_at=None, suspended_seconds=self.status.suspended_seconds + seconds)

    def end(self, phase: Phase, reason: str, message: str, ready: bool = False) -> None:
        """Bring the job to a terminal phase; where a larger budget would let it go on, say what it would take."""
        if phase in (Phase.BUDGET_EXHAUSTED, Phase.MAX_ITERATIONS) and self.status.estimate is not None:
            message = f"{message}. By the learning curve so far, {self.status.estimate.message}"
        self.finish_suspension()
        self.set(phase=phase, finished_at=self.now, stage="", progress="")
        self.condition(ConditionType.READY, ready, reason, message)
        self.condition(ConditionType.PROGRESSING, False, reason, message)
        self.show_nothing_stuck()
        # the last words are long, and said twice
        self.status = fitted(self.status)
        self.tell(reason, message, warning=phase is Phase.FAILED)

    def decision(self) -> Decision:
        """Return what was decided."""
        return Decision(
            status=self.status,
            actions=tuple(self.actions),
            events=tuple(self.events),
            requeue_after_seconds=min(self._wakes, default=None),
            unseen=self.unseen,
        )

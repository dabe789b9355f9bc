"""One reconcile: gather what is known, plan, apply. Level-triggered: what happened in between does not matter."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from pfd_operator.api.conditions import OperatorReason
from pfd_operator.api.status import ActiveStage, JobStatus
from pfd_operator.kube.api import KubeApi
from pfd_operator.kube.apply import ChildRefused, NameTaken, apply
from pfd_operator.kube.children import Children
from pfd_operator.kube.events import EventRecorder
from pfd_operator.kube.resources import Key, Snapshot, SpecInvalid, StatusUnreadable, write_status
from pfd_operator.kube.store import ResourceStore
from pfd_operator.kube.teachers import teacher_of
from pfd_operator.plan.invalid_spec import how_to_stop, invalid_status
from pfd_operator.plan.loop import plan
from pfd_operator.plan.observed import Observed
from pfd_operator.plan.types import CreateJob, Decision, Event, Resource, Settings
from pfd_operator.render import RenderError

from .logs import about
from .progress import ProgressBoard

log = logging.getLogger(__name__)


class RefusedJob(NamedTuple):
    """A Job that the API server did not take when it was last asked for."""

    name: str
    why: str


@dataclass
class Reconciler:
    """Brings one resource at a time closer to what its spec says."""

    api: KubeApi
    store: ResourceStore
    children: Children
    progress: ProgressBoard
    recorder: EventRecorder
    settings: Settings
    refused_jobs: dict[Key, RefusedJob] = field(default_factory=dict)

    async def reconcile(self, key: Key) -> float | None:
        """Reconcile one resource.

        Returns
        -------
        float or None
            Seconds after which to look again even if nothing changes.

        Raises
        ------
        ApiError
            409 if the resource changed meanwhile; others if the server refuses or is away.
        StatusUnreadable
            If it has a status that this version cannot go on with.
        """
        snapshot = self.store.get(key)
        if snapshot is None:
            self.forget(key)
            return None
        status = self._status_of(snapshot)
        try:
            resource = snapshot.resource()
            observed = await self._gather(snapshot, status)
            decision = plan(resource, status, observed, self.settings, self.api.now())
            if decision.unseen:
                observed = await self.children.asked(key.name, snapshot.as_owner, observed)
                decision = plan(resource, status, observed, self.settings, self.api.now())
            await self._apply(snapshot, resource, decision)
        except (SpecInvalid, RenderError) as error:
            await self._say_invalid(snapshot, status, str(error))
            return None
        if self.refused_jobs.pop(key, None) is not None:
            # conditions that spoke of it are out of date
            return 0.0
        # whatever looked at the resource since the report came took the place of the look that it asked for
        active = decision.status.active
        progress = self.progress.due_in(key, active.job_name if active else None)
        return min((each for each in (decision.requeue_after_seconds, progress) if each is not None), default=None)

    def forget(self, key: Key) -> None:
        """Forget what is remembered of a resource that is gone."""
        self.refused_jobs.pop(key, None)
        self.progress.forget(key)

    def _status_of(self, snapshot: Snapshot) -> JobStatus:
        try:
            return snapshot.status()
        except StatusUnreadable as error:
            # by an Event only: what cannot be read must not be written over
            self.recorder.emit(snapshot, Event(OperatorReason.STATUS_UNREADABLE, str(error), warning=True))
            raise

    async def _gather(self, snapshot: Snapshot, status: JobStatus) -> Observed:
        teacher = await teacher_of(self.api, self.store, snapshot)
        active = status.active.job_name if status.active else None
        if status.active is not None:
            self.children.go_on_from(snapshot.as_owner, status.active.job_name, status.active.gone_pods_seconds)
        refused = self.refused_jobs.get(snapshot.key)
        return replace(
            self.children.observed(snapshot.as_owner, self.progress.shown(snapshot.key, active)),
            teacher=teacher,
            refusal=refused.why if refused is not None and refused.name == active else "",
        )

    async def _apply(self, snapshot: Snapshot, resource: Resource, decision: Decision) -> None:
        active = decision.status.active
        fields: dict[str, str | int] = {"iteration": decision.status.iteration, "stage": active.stage if active else ""}
        with about(**fields):
            try:
                await apply(
                    self.api, self.recorder, snapshot, resource, decision, self.settings, self.store.keep_written
                )
            except NameTaken as error:
                self._note_refused_job(snapshot, active, OperatorReason.NAME_TAKEN, str(error))
                raise
            except ChildRefused as error:
                self._note_refused_job(snapshot, active, OperatorReason.JOB_REFUSED, error.message)
                raise
            for action in decision.actions:
                if isinstance(action, CreateJob):
                    log.info("Job %s is there", action.job.name)

    def _note_refused_job(
        self, snapshot: Snapshot, active: ActiveStage | None, reason: OperatorReason, why: str
    ) -> None:
        """Tell of what the user can change: a name, quota, admission, or an override that the server does not take."""
        if active is not None:
            self.refused_jobs[snapshot.key] = RefusedJob(active.job_name, why)
        self.recorder.emit(snapshot, Event(reason, why, warning=True))

    async def _say_invalid(self, snapshot: Snapshot, status: JobStatus, message: str) -> None:
        message = how_to_stop(status, message)
        status = invalid_status(status, message, snapshot.generation, self.api.now())
        after = await write_status(self.api, snapshot, status)
        if after is snapshot:
            return
        self.store.keep_written(after)
        self.recorder.emit(after, Event(OperatorReason.SPEC_INVALID, message, warning=True))
        log.warning("spec refused: %s", message)

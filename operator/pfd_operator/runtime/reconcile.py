"""One reconcile: gather what is known, plan, apply. Level-triggered: what happened in between does not matter."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from pfd_operator.api.conditions import OperatorReason
from pfd_operator.api.status import JobStatus
from pfd_operator.kube.api import ApiError, KubeApi
from pfd_operator.kube.apply import NameTaken, apply
from pfd_operator.kube.children import Children
from pfd_operator.kube.events import EventRecorder
from pfd_operator.kube.resources import Key, Snapshot, SpecInvalid, write_status
from pfd_operator.kube.store import ResourceStore
from pfd_operator.kube.teachers import teacher_of
from pfd_operator.plan.loop import plan
from pfd_operator.plan.types import CreateJob, Decision, Event, Observed, Resource, Settings
from pfd_operator.render import RenderError

from .logs import about
from .progress import ProgressBoard
from .refusal import refused_status

log = logging.getLogger(__name__)


@dataclass
class Reconciler:
    """Brings one resource at a time closer to what its spec says."""

    api: KubeApi
    store: ResourceStore
    children: Children
    progress: ProgressBoard
    recorder: EventRecorder
    settings: Settings

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
        """
        snapshot = self.store.get(key)
        if snapshot is None:
            return None
        try:
            resource = snapshot.resource()
            status = snapshot.status()
            observed = self._gather(snapshot, status)
            decision = plan(resource, status, observed, self.settings, self.api.now())
            if decision.unseen:
                observed = await self.children.asked(snapshot.key.namespace, snapshot.uid, observed)
                decision = plan(resource, status, observed, self.settings, self.api.now())
            await self._apply(snapshot, resource, decision)
        except (SpecInvalid, RenderError) as error:
            await self._refuse(snapshot, str(error))
            return None
        return decision.requeue_after_seconds

    def _gather(self, snapshot: Snapshot, status: JobStatus) -> Observed:
        namespace = snapshot.key.namespace
        active = status.active.job_name if status.active else None
        jobs = {job.observed.name for job in self.children.jobs_of(snapshot.uid)}
        self.progress.keep_only(namespace, jobs, active)
        shown = self.progress.shown(namespace, active) if active else None
        return replace(self.children.observed(snapshot.uid, shown), teacher=teacher_of(snapshot, self.store))

    async def _apply(self, snapshot: Snapshot, resource: Resource, decision: Decision) -> None:
        active = decision.status.active
        fields: dict[str, str | int] = {"iteration": decision.status.iteration, "stage": active.stage if active else ""}
        with about(**fields):
            try:
                await apply(
                    self.api, self.recorder, snapshot, resource, decision, self.settings, self.store.keep_written
                )
            except NameTaken as error:
                await self.recorder.emit(snapshot, Event("NameTaken", str(error), warning=True))
                raise
            except ApiError as error:
                if error.status in (400, 403, 422):
                    # quota, admission, or a pod override the server does not accept: the user can change it
                    message = f"the API server refused a child: {error.message}"
                    await self.recorder.emit(snapshot, Event("Refused", message, warning=True))
                raise
            for action in decision.actions:
                if isinstance(action, CreateJob):
                    log.info("Job %s is there", action.job.name)
            for event in decision.events:
                log.info("%s: %s", event.reason, event.message)

    async def _refuse(self, snapshot: Snapshot, message: str) -> None:
        status = refused_status(snapshot.status(), message, snapshot.generation, self.api.now())
        after = await write_status(self.api, snapshot, status)
        if after is snapshot:
            return
        self.store.keep_written(after)
        await self.recorder.emit(after, Event(OperatorReason.SPEC_INVALID, message, warning=True))
        log.warning("spec refused: %s", message)

"""A small job, and pods and Jobs as the caches would hold them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pfd_operator.api.conditions import ConditionType, Phase
from pfd_operator.api.distill import DistillJobSpec
from pfd_operator.api.finetune import FineTuneJobSpec
from pfd_operator.api.status import Condition, DistillJobStatus, FineTuneJobStatus, JobStatus, TeacherRecord, Told
from pfd_operator.contract.result import Reason, StageResult
from pfd_operator.contract.stage import StageKind
from pfd_operator.plan.jobs import Ended, end_of, with_pods_seen
from pfd_operator.plan.loop import plan
from pfd_operator.plan.observed import Observed, ObservedJob, ObservedPod, ObservedTeacher, PodPhase
from pfd_operator.plan.types import CreateJob, Decision, PlannedJob, Resource, Settings
from tests.job_specs import DISTILL_SPEC, SPEC
from tests.unit.operator.plan.plan_answers import Answer, good_result

NEVER = {"forceRMSE": 1e-6}
"""Limits that no model of these tests meets."""
START = datetime(2026, 1, 1, tzinfo=UTC)
SETTINGS = Settings(worker_image="worker:1", engine_images={}, progress_url="http://operator:8080")
LIGHT = {"s3": SPEC["artifacts"]["s3"] | {"prefix": "light"}}
TEACHER = ObservedTeacher(
    Phase.CONVERGED,
    end="it ended as Converged (all limits held)",
    record=TeacherRecord(
        name="silicon",
        model_uri="s3://pfd/silicon/stages/2/best.pt",
        starts_uri="s3://pfd/silicon/stages/0/manifest.json",
        holdout_uri="s3://pfd/silicon/stages/2/manifest.json",
        systems=["diamond"],
        reference="GFN1-xTB",
        phase=Phase.CONVERGED,
        iteration=2,
    ),
)
OTHER_TEACHER = replace(
    TEACHER,
    record=TEACHER.record and TEACHER.record.model_copy(update={"model_uri": "s3://pfd/silicon/stages/3/best.pt"}),
)
"""The same job, which has gone on."""
GPU = {"resources": {"limits": {"nvidia.com/gpu": 1, "memory": "4Gi"}}}


def resource(**changes: Any) -> Resource:
    spec = FineTuneJobSpec.model_validate(SPEC | changes)
    return Resource("FineTuneJob", "lab", "silicon", "5f0c2a4e-0000-4000-8000-000000000001", 1, spec)


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def distill_resource(**changes: Any) -> Resource:
    spec = DistillJobSpec.model_validate(DISTILL_SPEC | {"artifacts": LIGHT} | changes)
    return Resource("DistillJob", "lab", "light", "6a1d2a4e-0000-4000-8000-000000000001", 1, spec)


def created(decision: Decision) -> PlannedJob:
    """The one Job that a decision creates."""
    (job,) = [action.job for action in decision.actions if isinstance(action, CreateJob)]
    return job


def job_of(planned: PlannedJob, *pods: ObservedPod, **changes: Any) -> ObservedJob:
    spec = planned.spec
    job = ObservedJob(
        planned.name,
        f"uid-{planned.name}",
        spec.iteration,
        spec.stage,
        spec.attempt,
        created_at=START,
        completions=planned.completions,
        parallelism=planned.parallelism,
        pods=pods,
    )
    return replace(job, **changes)


def pod(phase: PodPhase = "Running", **changes: Any) -> ObservedPod:
    given: dict[str, Any] = {"name": "pod-1", "created_at": START, "started_at": START} | changes
    return ObservedPod(phase=phase, **given)


def failed_pod(exit_code: int | None = 1, **changes: Any) -> ObservedPod:
    return pod("Failed", exit_code=exit_code, finished_at=START, container="stage", **changes)


def succeeded(planned: PlannedJob, answer: Answer = good_result) -> ObservedJob:
    """A Job all of whose pods ended well."""
    if planned.completions is None:
        return job_of(planned, pod("Succeeded", exit_code=0, finished_at=START, result=answer(planned.spec)))
    pods = [
        pod("Succeeded", name=f"pod-{i}", index=i, exit_code=0, finished_at=START, result=answer(planned.spec))
        for i in range(planned.completions)
    ]
    return job_of(planned, *pods, succeeded_indexes=planned.completions)


def end_as_seen(job: ObservedJob, told: Told | None = None) -> Ended:
    """How a Job ended, of which pods had said something before that may be gone."""
    return end_of(job, None, with_pods_seen(told or Told(), job))


def condition(status: JobStatus, kind: ConditionType) -> Condition:
    return next(item for item in status.conditions if item.type == kind)


class Run:
    """Walks a job with a cluster in which every answer is given by the test."""

    def __init__(self, owner: Resource | None = None, settings: Settings = SETTINGS) -> None:
        self.resource = owner or resource()
        self.settings = settings
        distills = self.resource.kind == "DistillJob"
        self.status: JobStatus = DistillJobStatus() if distills else FineTuneJobStatus()
        self.teacher = TEACHER if distills else None
        self.answer: Answer = good_result
        self.seconds = 0.0
        self.decision = Decision(self.status)

    def step(self, *jobs: ObservedJob, seconds: float = 0.0, **observed: Any) -> Decision:
        """Decide once, `seconds` later than before."""
        self.seconds += seconds
        seen = Observed(jobs=jobs, **{"teacher": self.teacher} | observed)
        self.decision = plan(self.resource, self.status, seen, self.settings, after(self.seconds))
        self.status = self.decision.status
        return self.decision

    def until(self, iteration: int, stage: StageKind) -> PlannedJob:
        """Let every stage end well up to the one asked for; return its Job."""
        if self.status.active is None:
            self.step()
        while True:
            planned = created(self.decision)
            if (planned.spec.iteration, planned.spec.stage) == (iteration, stage):
                return planned
            self.step(succeeded(planned, self.answer), seconds=1)

    def to_the_end(self) -> JobStatus:
        """Let every stage end well until nothing is started any more."""
        if self.status.active is None:
            self.step()
        while any(isinstance(action, CreateJob) for action in self.decision.actions):
            self.step(succeeded(created(self.decision), self.answer), seconds=1)
        return self.status

    def edit(self, **changes: Any) -> None:
        """Change the spec as a user would."""
        spec = self.resource.spec.to_json() | changes
        self.resource = replace(
            self.resource, spec=type(self.resource.spec).model_validate(spec), generation=self.resource.generation + 1
        )


def said(reason: Reason, message: str = "words") -> StageResult:
    return StageResult(ok=False, reason=reason, message=message)

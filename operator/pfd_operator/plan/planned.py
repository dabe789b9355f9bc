"""The Job of an attempt, and the ConfigMap it reads: what is asked for, not how it is drawn."""

from __future__ import annotations

from pfd_operator.contract.location import S3Location, StoreLocation
from pfd_operator.contract.stage import BudgetSoFar, JobIdentity, StageKind, StageSpec

from .draft import Draft
from .names import service_name, structures_key, structures_name
from .stages import StagePlan
from .types import CreateConfigMap, CreateJob, CreateService, PlannedJob


def ask_for_job(draft: Draft, stage: StagePlan) -> None:
    """Ask for the Job of the intended attempt, and for the ConfigMap it reads."""
    active = draft.running
    if active.stage is StageKind.PREPARE:
        _create_structures(draft)
    resource, settings = draft.resource, draft.settings
    url = settings.progress_url
    spec = StageSpec(
        job=JobIdentity(namespace=resource.namespace, kind=resource.kind, name=resource.name, uid=resource.uid),
        iteration=active.iteration,
        attempt=active.attempt,
        seed=stage.seed,
        digest=stage.digest,
        inputs=stage.inputs,
        store=_store(draft),
        params=stage.params,
        budget=_budget(draft),
        progress_url=f"{url}/progress/{resource.namespace}/{active.job_name}" if url else None,
    )
    job = PlannedJob(
        name=active.job_name,
        owner=resource,
        spec=spec,
        worker_image=stage.images.worker,
        engine_image=stage.images.engine,
        completions=stage.completions,
        parallelism=stage.parallelism,
        gpus=stage.gpus,
        active_deadline_seconds=stage.pod_seconds(draft.spec, draft.status, draft.now),
    )
    if job.together:
        draft.actions.append(CreateService(service_name(resource)))
    draft.actions.append(CreateJob(job))


def _budget(draft: Draft) -> BudgetSoFar:
    budget = draft.spec.budget
    return BudgetSoFar(
        max_labels=budget.max_labels,
        max_iterations=budget.max_iterations,
        gpu_hours=budget.gpu_hours,
        gpu_hours_used=round(draft.status.gpu_seconds / 3600, 3),
    )


def _create_structures(draft: Draft) -> None:
    data = {
        structures_key(system.name): system.structures.inline
        for system in draft.spec.systems
        if system.structures.inline is not None
    }
    if data:
        draft.actions.append(CreateConfigMap(structures_name(draft.resource), data))


def _store(draft: Draft) -> StoreLocation:
    # credentials and CA go to the pod by other ways: what the stage is told is where, not with which key
    return StoreLocation(s3=S3Location(**draft.spec.artifacts.s3.model_dump(include=set(S3Location.model_fields))))

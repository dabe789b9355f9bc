"""A planned stage as a batch/v1 Job."""

from __future__ import annotations

from typing import Any

from pfd_operator.contract.digest import canonical_json
from pfd_operator.contract.result import ExitCode
from pfd_operator.contract.stage import STAGE_SPEC_ANNOTATION, STAGE_SPEC_MAX_BYTES, StageSpec
from pfd_operator.plan.types import PlannedJob, Settings

from .containers import worker_containers
from .errors import RenderError
from .labels import (
    ATTEMPT_LABEL,
    GPUS_ANNOTATION,
    ITERATION_LABEL,
    STAGE_LABEL,
    TOKEN_ANNOTATION,
    owner_labels,
    owner_reference,
    queue_labels,
)
from .pod import pod_spec

_ELSEWHERE = {
    "engine": "labeling.engine",
    "tighter": "labeling.noiseCheck",
    "calculator": "teacher.calculator",
    "dftData": "acceptance.dftData",
}
"""Parameters of stages that a job's spec has under another name than its own."""


def job_manifest(job: PlannedJob, settings: Settings, progress_token: str) -> dict[str, Any]:
    """Return the Job of one attempt at one stage.

    Parameters
    ----------
    job
        What to run.
    settings
        Images, retry limits and what every stage pod is given.
    progress_token
        Secret of this attempt, with which its pods may report progress; kept in an annotation of the Job.

    Raises
    ------
    RenderError
        If the StageSpec is larger than an annotation should be, or no image is known for an engine.
    """
    labels = {
        **owner_labels(job.owner),
        ITERATION_LABEL: str(job.spec.iteration),
        STAGE_LABEL: job.spec.stage.value,
        ATTEMPT_LABEL: str(job.spec.attempt),
    }
    given = settings.stage_pods
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": job.name,
            "namespace": job.owner.namespace,
            "labels": {**given.labels, **labels, **queue_labels(job.owner.spec.queue)},
            "annotations": {**given.annotations, TOKEN_ANNOTATION: progress_token},
            "ownerReferences": [owner_reference(job.owner)],
        },
        "spec": {
            **_retry_policy(job, settings),
            # Kueue lifts it; without Kueue nobody does, which the condition Progressing says
            **({"suspend": True} if job.owner.spec.queue is not None else {}),
            # without it the Job controller starts a replacement while the old pod still terminates
            "podReplacementPolicy": "Failed",
            "template": {
                "metadata": {
                    "labels": {**given.labels, **labels},
                    "annotations": {
                        **given.annotations,
                        STAGE_SPEC_ANNOTATION: stage_annotation(job.spec),
                        GPUS_ANNOTATION: str(job.gpus),
                    },
                },
                "spec": pod_spec(job, settings, progress_token),
            },
        },
    }


def stage_annotation(spec: StageSpec) -> str:
    """Return the StageSpec as the text of an annotation.

    Raises
    ------
    RenderError
        If it is too large; the message names its largest part.
    """
    text = canonical_json(spec.to_json())
    size = len(text.encode())
    if size <= STAGE_SPEC_MAX_BYTES:
        return text
    params = {name: len(canonical_json(value).encode()) for name, value in spec.params.to_json().items()}
    largest = max(params, key=lambda name: params[name])
    raise RenderError(
        f"the {spec.stage.value} stage's settings take {size} bytes, {STAGE_SPEC_MAX_BYTES} are allowed; the largest "
        f"part is spec.{_ELSEWHERE.get(largest, largest)} with {params[largest]} bytes: shorten it"
    )


def _retry_policy(job: PlannedJob, settings: Settings) -> dict[str, Any]:
    if job.completions is None:
        # every retry is a new attempt by the planner, which knows why the last one ended; pods that work together end
        # together
        indexed = {"completionMode": "Indexed"} if job.together else {}
        return {"backoffLimit": 0, "completions": job.parallelism, "parallelism": job.parallelism, **indexed}
    # that of each pod bounds neither those that follow one another nor replacements
    seconds = job.active_deadline_seconds
    deadline = {} if seconds is None else {"activeDeadlineSeconds": seconds}
    return {
        **deadline,
        "completionMode": "Indexed",
        "completions": job.completions,
        "parallelism": min(job.parallelism, job.completions),
        "backoffLimitPerIndex": settings.index_retries,
        # a failed index never stops the others: what is too much is judged by the stage that reads them
        "maxFailedIndexes": job.completions,
        "podFailurePolicy": {"rules": _failure_rules(job)},
    }


def _failure_rules(job: PlannedJob) -> list[dict[str, Any]]:
    # the exit code of an engine is its own business: only the workers' codes are a contract
    by_exit_code = [
        {"action": action, "onExitCodes": {"containerName": name, "operator": "In", "values": [int(code)]}}
        for action, code in (("FailIndex", ExitCode.USER_ERROR), ("Ignore", ExitCode.PREEMPTED))
        for name in worker_containers(job)
    ]
    disrupted = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    return [disrupted, *by_exit_code]

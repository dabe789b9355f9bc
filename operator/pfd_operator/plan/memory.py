"""More memory for a stage whose pods had too little: each time twice as much, as often as the job allows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pfd_operator.api.conditions import OperatorReason
from pfd_operator.api.job import JobSpec
from pfd_operator.api.pods import PodOverrides, Quantities, doubled
from pfd_operator.api.status import ActiveStage, ActiveState, JobStatus
from pfd_operator.contract.stage import StageKind

from .draft import Draft
from .failures import Failure
from .recipe import position_of
from .types import Resource


def with_more_memory(resource: Resource, steps_of: Mapping[str, int]) -> Resource:
    """Return a resource whose stages have a memory limit doubled so often, by stage; the request with it."""
    pods = resource.spec.pods
    grown = {
        stage: _grown(pods.of(StageKind(stage)), steps)
        for stage, steps in steps_of.items()
        if stage in type(pods).model_fields
    }
    if not grown:
        return resource
    spec = resource.spec.model_copy(update={"pods": pods.model_copy(update=grown)})
    return replace(resource, spec=spec)


def _grown(overrides: PodOverrides, steps: int) -> PodOverrides:
    def more(quantities: Quantities) -> Quantities:
        return {name: doubled(each, steps) if name == "memory" else each for name, each in quantities.items()}

    resources = overrides.resources
    if resources.memory_limit is None:
        # taken away since: nothing bounds it
        return overrides
    update = {"requests": more(resources.requests), "limits": more(resources.limits)}
    return overrides.model_copy(update={"resources": resources.model_copy(update=update)})


def more_memory_left(spec: JobSpec, status: JobStatus, stage: StageKind) -> bool:
    """Say whether a stage may be given more memory yet: it has a limit, which was doubled less often than allowed."""
    limit = spec.pods.of(stage).resources.memory_limit
    return limit is not None and status.memory_steps.get(stage.value, 0) < spec.memory_steps


def give_more_memory(draft: Draft, active: ActiveStage, failure: Failure) -> None:
    """Try the stage again with twice the memory; nobody's fault, and bounded by itself, so it does not count."""
    stage, limit = active.stage, draft.spec.pods.of(active.stage).resources.memory_limit
    steps = draft.status.memory_steps.get(stage.value, 0) + 1
    draft.set(memory_steps={**draft.status.memory_steps, stage.value: steps})
    # the next attempt may be begun at once
    draft.resource = with_more_memory(draft.resource, {stage.value: 1})
    draft.set_active(state=ActiveState.BACKOFF, not_before=None)
    words = (
        f"{position_of(active)} ran out of memory and is tried again with {doubled(limit or '', 1)} (step {steps} of "
        f"{draft.spec.memory_steps}, spec.memorySteps): {failure.message}"
    )
    draft.tell(OperatorReason.STAGE_RETRIED, words, warning=True)

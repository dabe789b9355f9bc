"""The administrator's defaults of stage pods, laid under what a job says: planning counts what drawing will draw."""

from __future__ import annotations

from dataclasses import replace

from pfd_operator.api.stage_pods import StageDefaults
from pfd_operator.contract.stage import StageKind

from .types import Resource

_NONE = StageDefaults()


def with_defaults(resource: Resource, defaults: StageDefaults) -> Resource:
    """Return a resource whose spec.pods has the defaults wherever its user gave nothing."""
    if defaults == _NONE:
        return resource
    pods = resource.spec.pods
    stages = [stage for stage in StageKind if stage.value in type(pods).model_fields]
    laid = pods.model_copy(update={stage.value: defaults.under(pods.of(stage), stage) for stage in stages})
    return replace(resource, spec=resource.spec.model_copy(update={"pods": laid}))

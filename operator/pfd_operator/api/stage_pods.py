"""What an administrator gives every stage pod: what a site asks of its pods, whoever's job they belong to."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from pfd_operator.contract.base import Strict, invalid_at
from pfd_operator.contract.stage import StageKind

from .job import GROUP, KUEUE
from .pods import PodOverrides, PodToleration, Quantities, Resources, gpus_in

_PART = r"[A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?"
_DOMAIN = r"[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?"

# Kubernetes would refuse every Job for one that is wrong
MetadataKey = Annotated[str, Field(pattern=rf"^({_DOMAIN}/)?{_PART}$")]
"""Name of a label or an annotation."""
LabelValue = Annotated[str, Field(pattern=rf"^({_PART})?$")]
VariableName = Annotated[str, Field(pattern=r"^[-._a-zA-Z][-._a-zA-Z0-9]*$")]

_BY_JOB_CONTROLLER = "Kubernetes itself sets it on Jobs and their pods, and refuses others"
_OTHERS_LABELS = {
    "batch.kubernetes.io/": _BY_JOB_CONTROLLER,
    "job-name": _BY_JOB_CONTROLLER,
    "controller-uid": _BY_JOB_CONTROLLER,
    # a Job that is not born suspended would start before Kueue admits it
    f"{KUEUE}/": "jobs name their queue in spec.queue",
    f"{GROUP}/": "the operator finds its Jobs and pods by labels of its own",
}
"""Labels, or with a slash all of a domain, that are not the administrator's to give, and why."""


class StageDefaults(Strict):
    """What stage pods have unless their job says otherwise: they are laid under spec.pods."""

    node_selector: dict[MetadataKey, LabelValue] = Field({}, description="Labels of nodes; a job's own win.")
    tolerations: list[PodToleration] = Field([], description="As in a pod; a job's own are added to them.")
    runtime_class_name: str | None = Field(
        None, pattern=f"^{_DOMAIN}$", description="RuntimeClass, of jobs that name none."
    )
    resources: dict[StageKind, Resources] = Field(
        {}, description="By stage, of the main container: requests and limits of what a job gives neither of."
    )

    def under(self, given: PodOverrides, stage: StageKind) -> PodOverrides:
        """Return what a stage's pods have when these lie under what a job gives."""
        return given.model_copy(
            update={
                "node_selector": self.node_selector | given.node_selector,
                "tolerations": [each for each in self.tolerations if each not in given.tolerations] + given.tolerations,
                "runtime_class_name": given.runtime_class_name or self.runtime_class_name,
                "resources": _laid_under(self.resources.get(stage, Resources()), given.resources),
            }
        )


def _laid_under(defaults: Resources, given: Resources) -> Resources:
    # by resource, not by field: a request of the job's may be above a limit of ours, and no pod would start
    named = given.requests.keys() | given.limits.keys()

    def rest(quantities: Quantities) -> Quantities:
        return {name: quantity for name, quantity in quantities.items() if name not in named}

    return Resources(requests=rest(defaults.requests) | given.requests, limits=rest(defaults.limits) | given.limits)


class StagePods(Strict):
    """What is given to every stage pod; our own labels, annotations and variables win over those given here."""

    labels: dict[MetadataKey, LabelValue] = Field({}, description="Of Jobs and pods.")
    annotations: dict[MetadataKey, str] = Field({}, description="Of Jobs and pods.")
    environment: dict[VariableName, str] = Field({}, description="Of every container, the engine's too.")
    service_account_name: str | None = Field(
        None,
        pattern=f"^{_DOMAIN}$",
        description="For identities that clouds give to it, and for its imagePullSecrets; its token is not mounted.",
    )
    gpu_resources: list[MetadataKey] = Field(
        [], max_length=64, description="Names of resources that count in budget.gpuHours, besides those of pods."
    )
    small_container_resources: Resources = Field(
        Resources(), description="Of engine-probe, stage-in and stage-out, the small containers beside an engine."
    )

    defaults: StageDefaults = Field(StageDefaults(), description="Where a job says nothing else in spec.pods.")

    @field_validator("labels")
    @classmethod
    def _nobody_elses(cls, labels: dict[str, str]) -> dict[str, str]:
        for name in labels:
            domain = name[: name.find("/") + 1]
            why = _OTHERS_LABELS.get(domain or name)
            if why is not None:
                raise ValueError(f"{name} is not for you to give, leave it out: {why}")
        return labels

    @model_validator(mode="after")
    def _no_gpus_that_idle(self) -> Self:
        # budgets count those of spec.pods
        if gpus_in(self.small_container_resources.limits, self.gpu_resources):
            words = "limits name GPUs, which small containers cannot use: leave them out"
            raise invalid_at(("smallContainerResources",), words, self.small_container_resources.limits)
        return self

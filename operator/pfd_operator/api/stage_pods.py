"""What an administrator gives every stage pod: what a site asks of its pods, whoever's job they belong to."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from pfd_operator.contract.base import Strict

from .pods import Resources, gpus_in

_PART = r"[A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?"
_DOMAIN = r"[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?"

# Kubernetes would refuse every Job for one that is wrong
MetadataKey = Annotated[str, Field(pattern=rf"^({_DOMAIN}/)?{_PART}$")]
"""Name of a label or an annotation."""
LabelValue = Annotated[str, Field(pattern=rf"^({_PART})?$")]
VariableName = Annotated[str, Field(pattern=r"^[-._a-zA-Z][-._a-zA-Z0-9]*$")]


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
    small_container_resources: Resources = Field(
        Resources(), description="Of engine-probe, stage-in and stage-out, the small containers beside an engine."
    )

    @field_validator("small_container_resources")
    @classmethod
    def _no_gpus(cls, resources: Resources) -> Resources:
        # budgets count those of spec.pods
        if gpus_in(resources.limits):
            raise ValueError("limits name GPUs, which small containers cannot use: leave them out")
        return resources

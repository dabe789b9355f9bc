"""What users may say about the pods of a stage: a typed object of allowed fields, nothing that grants privileges."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from pfd_operator.contract.base import ExactlyOne, Name, ObjectName, Strict


class Resources(Strict):
    """Compute resources of the stage's main container."""

    requests: dict[str, str | int] = Field({}, max_length=16, description="E.g. {cpu: 1, memory: 2Gi}.")
    limits: dict[str, str | int] = Field({}, max_length=16, description="E.g. {nvidia.com/gpu: 1}.")


class ResourceClaim(ExactlyOne):
    """Devices by dynamic resource allocation, for the stage's main container."""

    name: Name = Field(description="Name of the claim in the pod.")
    resource_claim_name: ObjectName | None = Field(None, description="A ResourceClaim of the namespace.")
    resource_claim_template_name: ObjectName | None = Field(
        None, description="A ResourceClaimTemplate of the namespace: a claim for each pod."
    )
    gpus: int = Field(1, ge=0, le=64, description="GPUs it counts for in spec.budget.gpuHours. Default 1.")

    @classmethod
    def union_members(cls) -> tuple[str, ...]:
        """One way to name it."""
        return ("resource_claim_name", "resource_claim_template_name")


class PodOverrides(Strict):
    """Scheduling and resources of one stage's pods."""

    resources: Resources = Field(Resources(), description="Main (label: the engine's) container.")
    node_selector: dict[str, str] = Field({}, max_length=32, description="Labels of nodes.")
    tolerations: list[dict[str, Any]] = Field([], max_length=32, description="As in a pod.")
    affinity: dict[str, Any] | None = Field(None, description="As in a pod.")
    priority_class_name: str | None = Field(None, max_length=253, description="PriorityClass.")
    runtime_class_name: str | None = Field(None, max_length=253, description="RuntimeClass.")
    resource_claims: list[ResourceClaim] = Field(
        [], max_length=8, description="Devices by dynamic resource allocation."
    )
    termination_grace_period_seconds: int = Field(60, ge=1, le=3600, description="Seconds after SIGTERM. Default 60.")


class Pods(Strict):
    """Overrides by stage."""

    prepare: PodOverrides = Field(PodOverrides(), description="Pods of prepare.")
    explore: PodOverrides = Field(PodOverrides(), description="Pods of explore.")
    select: PodOverrides = Field(PodOverrides(), description="Pods of select.")
    label: PodOverrides = Field(PodOverrides(), description="Pods of label.")
    train: PodOverrides = Field(PodOverrides(), description="Pods of train.")

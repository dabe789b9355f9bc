"""What users may say about the pods of a stage: a typed object of allowed fields, nothing that grants privileges."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from pfd_operator.contract.base import ExactlyOne, Name, ObjectName, Strict
from pfd_operator.contract.stage import StageKind

GPU_RESOURCES = frozenset(
    {"nvidia.com/gpu", "nvidia.com/gpu.shared", "amd.com/gpu", "gpu.intel.com/i915", "gpu.intel.com/xe"}
)
"""Names of device plugins' resources that are GPUs; others, such as nvidia.com/gpumem, say something of them."""
_QUANTITY = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(?:([KMGTPE])i|([numkMGTPE])|[eE]([+-]?[0-9]{1,3}))?")
_BINARY = "KMGTPE"
_DECIMAL = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
MIG_SLICES = "nvidia.com/mig-"
"""Beginning of the names of slices of a GPU: a slice counts as a GPU."""


_MOST_GPUS = 999_999


def gpus_in(limits: Mapping[str, str | int], others: Collection[str] = ()) -> int:
    """Return how many GPUs the limits of a container name.

    Parameters
    ----------
    limits
        Quantities, as `Resources` takes them.
    others
        Names of resources that are GPUs besides those known here.
    """
    given = [quantity for name, quantity in limits.items() if _is_gpu(name) or name in others]
    return sum(min(_MOST_GPUS, math.ceil(_amount(quantity))) for quantity in given)


def _is_gpu(name: str) -> bool:
    return name in GPU_RESOURCES or name.startswith(MIG_SLICES)


def _amount(quantity: str | int) -> Decimal:
    """Return what a quantity of Kubernetes comes to.

    Raises
    ------
    ValueError
        If it is none.
    """
    parts = _QUANTITY.fullmatch(str(quantity))
    if parts is None:
        raise ValueError(f"{str(quantity)[:20]!r} is no quantity of Kubernetes, such as 2, 500m or 2Gi")
    number, binary, decimal, exponent = parts.groups()
    if binary:
        return Decimal(number) * Decimal(1024) ** (_BINARY.index(binary) + 1)
    return Decimal(number).scaleb(_DECIMAL[decimal] if decimal else int(exponent or 0))


def doubled(quantity: str | int, times: int) -> str:
    """Return a quantity of Kubernetes doubled so many times, with the suffix that it has."""
    parts = _QUANTITY.fullmatch(str(quantity))
    if parts is None:
        raise ValueError(f"{str(quantity)[:20]!r} is no quantity of Kubernetes")
    number = format(Decimal(parts[1]) * (1 << times), "f")
    return number + str(quantity)[len(parts[1]) :]


Quantities = dict[str, str | int]
"""Name of a resource → quantity."""


class Resources(Strict):
    """Compute resources of the stage's main container."""

    requests: Quantities = Field(
        {}, max_length=16, description="Requests. Default {cpu: 250m, memory: 512Mi}, of what limits leave out."
    )
    limits: Quantities = Field(
        {}, max_length=16, description="Limits, e.g. {cpu: 4, nvidia.com/gpu: 1}. Default: none."
    )

    @property
    def memory_limit(self) -> str | None:
        """The memory limit as the user wrote it."""
        return str(self.limits["memory"]) if "memory" in self.limits else None

    @field_validator("limits")
    @classmethod
    def _gpus_can_be_counted(cls, limits: Quantities) -> Quantities:
        # Kubernetes knows others (1k, 1000m), and refuses some of them only when the stage begins
        for name, number in limits.items():
            if _is_gpu(name) and not re.fullmatch("[0-9]{1,6}", str(number)):
                raise ValueError(
                    f"{name} is {str(number)[:20]}: give a whole number of GPUs without a suffix, such as 1"
                )
        return limits

    @field_validator("requests", "limits")
    @classmethod
    def _are_quantities(cls, given: Quantities) -> Quantities:
        for name, quantity in given.items():
            try:
                _amount(quantity)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
        return given

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        for name, wanted in self.requests.items():
            limit = self.limits.get(name)
            # of devices and huge pages a node has no more than it gives away
            whole = "/" in name or name.startswith("hugepages-")
            if limit is None:
                if whole:
                    raise ValueError(f"{name} needs a limit, too, of the same quantity as the request")
            elif _amount(wanted) > _amount(limit):
                raise ValueError(f"{name}: the request of {wanted} is above the limit of {limit}")
            elif whole and _amount(wanted) != _amount(limit):
                raise ValueError(f"{name}: request ({wanted}) and limit ({limit}) must be equal")
        return self


class Toleration(Strict):
    """A toleration as in a pod: what the API server would refuse only when the stage begins."""

    key: str | None = None
    operator: Literal["", "Exists", "Equal"] | None = None
    value: str | None = None
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    toleration_seconds: int | None = None

    @model_validator(mode="after")
    def _names_a_taint(self) -> Self:
        if not self.key and self.operator != "Exists":
            raise ValueError("without a key the operator must be Exists")
        if self.value and self.operator == "Exists":
            raise ValueError("with the operator Exists there is no value")
        if self.toleration_seconds is not None and self.effect != "NoExecute":
            raise ValueError("tolerationSeconds go with the effect NoExecute only")
        return self


class ResourceClaim(ExactlyOne):
    """Devices for the main container."""

    name: Name = Field(description="Name of the claim in the pod.")
    resource_claim_name: ObjectName | None = Field(None, description="ResourceClaim that all pods share.")
    resource_claim_template_name: ObjectName | None = Field(
        None, description="ResourceClaimTemplate: a claim for each pod."
    )
    gpus: int = Field(1, ge=0, le=64, description="GPUs it counts for. Default 1.")

    @classmethod
    def union_members(cls) -> tuple[str, ...]:
        """One way to name it."""
        return ("resource_claim_name", "resource_claim_template_name")


class TopologySpread(Strict):
    """A topologySpreadConstraint as in a pod, without a selector: it spreads the pods of the stage's own Job."""

    topology_key: str = Field(min_length=1)
    max_skew: int = Field(ge=1)
    when_unsatisfiable: Literal["DoNotSchedule", "ScheduleAnyway"]
    min_domains: int | None = Field(None, ge=1)
    node_affinity_policy: Literal["Honor", "Ignore"] | None = None
    node_taints_policy: Literal["Honor", "Ignore"] | None = None

    @model_validator(mode="after")
    def _fewest_domains_bind(self) -> Self:
        if self.min_domains is not None and self.when_unsatisfiable != "DoNotSchedule":
            raise ValueError("minDomains go with whenUnsatisfiable: DoNotSchedule only")
        return self


def _as_in_a_pod(kind: type[Strict]) -> AfterValidator:
    def check(given: dict[str, Any]) -> dict[str, Any]:
        # as users wrote it, not as parsed: the schema of every stage would be a third longer
        kind.model_validate(given, strict=True)
        return given

    return AfterValidator(check)


PodToleration = Annotated[dict[str, Any], _as_in_a_pod(Toleration)]
PodTopologySpread = Annotated[dict[str, Any], _as_in_a_pod(TopologySpread)]


class PodOverrides(Strict):
    """Scheduling and resources of one stage's pods."""

    resources: Resources = Field(Resources(), description="Of the main container, in the label stage the engine's.")
    node_selector: dict[str, str] = Field(
        {}, max_length=32, description="Labels that nodes must have. Default: any node."
    )
    tolerations: list[PodToleration] = Field([], max_length=32, description="Tolerations, as in a pod. Default: none.")
    affinity: dict[str, Any] | None = Field(None, description="Affinity, as in a pod. Default: none.")
    topology_spread_constraints: list[PodTopologySpread] = Field(
        [],
        max_length=8,
        description="Spread of the stage's pods over nodes or zones, as in a pod; no labelSelector. Default: none.",
    )
    priority_class_name: str | None = Field(None, max_length=253, description="PriorityClass. Default: the cluster's.")
    runtime_class_name: str | None = Field(None, max_length=253, description="RuntimeClass. Default: the node's.")
    resource_claims: list[ResourceClaim] = Field(
        [], max_length=8, description="Devices by dynamic resource allocation (DRA). Default: none."
    )
    termination_grace_period_seconds: int = Field(
        60, ge=1, le=3600, description="Time to end after SIGTERM, in s. Default 60."
    )

    @field_validator("topology_spread_constraints")
    @classmethod
    def _one_for_each_topology(cls, given: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if len({(each["topologyKey"], each["whenUnsatisfiable"]) for each in given}) < len(given):
            raise ValueError("two have the same topologyKey and whenUnsatisfiable: Kubernetes takes one")
        return given


class Pods(Strict):
    """Overrides by stage."""

    prepare: PodOverrides = Field(PodOverrides(), description="Pods of prepare.")
    explore: PodOverrides = Field(PodOverrides(), description="Pods of explore.")
    select: PodOverrides = Field(PodOverrides(), description="Pods of select.")
    label: PodOverrides = Field(PodOverrides(), description="Pods of label.")
    train: PodOverrides = Field(PodOverrides(), description="Pods of train.")

    def of(self, stage: StageKind) -> PodOverrides:
        """Return those of a stage."""
        overrides: PodOverrides = getattr(self, stage.value)
        return overrides

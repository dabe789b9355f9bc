"""What an administrator gives stage pods whose jobs say nothing is laid under spec.pods."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pfd_operator.api.distill import DistillPods
from pfd_operator.api.pods import PodOverrides
from pfd_operator.api.stage_pods import StageDefaults, StagePods
from pfd_operator.contract.stage import StageKind
from pfd_operator.plan.budget import gpus_per_pod
from pfd_operator.plan.stage_defaults import with_defaults
from pfd_operator.plan.types import PlannedJob, Resource
from pfd_operator.render import job_manifest
from tests.unit.operator.render.render_samples import SETTINGS, label_job, resource, select_job, train_job

BATCH = {"key": "batch", "operator": "Exists"}
DEFAULTS = StageDefaults.model_validate(
    {
        "nodeSelector": {"gpu": "any", "disk": "ssd"},
        "tolerations": [BATCH, {"key": "nvidia.com/gpu", "operator": "Exists"}],
        "runtimeClassName": "gvisor",
        "resources": {
            "label": {"requests": {"cpu": 2}, "limits": {"memory": "4Gi"}},
            "train": {"requests": {"cpu": "2"}, "limits": {"memory": "32Gi"}},
        },
    }
)


def drawn(make: Callable[[Resource], PlannedJob], **changes: Any) -> dict[str, Any]:
    return job_manifest(make(with_defaults(resource(**changes), DEFAULTS)), SETTINGS, "token")


def pod_of(manifest: dict[str, Any]) -> dict[str, Any]:
    return dict(manifest["spec"]["template"]["spec"])


def test_golden(golden: Callable[[str, Any], None]) -> None:
    golden("train-stage-defaults", drawn(train_job))


def test_a_job_that_says_nothing_has_all_of_them() -> None:
    pod = pod_of(drawn(label_job, pods={}))
    assert pod["nodeSelector"] == DEFAULTS.node_selector
    assert pod["tolerations"] == DEFAULTS.tolerations
    assert pod["runtimeClassName"] == "gvisor"
    engine, small = pod["containers"]
    assert engine["resources"] == {"requests": {"cpu": 2}, "limits": {"memory": "4Gi"}}
    assert small["resources"] == {"requests": {"cpu": "50m", "memory": "128Mi"}}


def test_what_a_job_says_lies_above() -> None:
    pod = pod_of(drawn(train_job))
    assert pod["nodeSelector"] == {"gpu": "h100", "disk": "ssd"}
    assert pod["tolerations"] == [BATCH, {"key": "nvidia.com/gpu", "operator": "Exists"}], "none is there twice"
    assert pod["runtimeClassName"] == "nvidia"
    # the job limits cpu: a default request for it could be above that
    (container,) = pod["containers"]
    assert container["resources"] == {"limits": {"memory": "32Gi", "nvidia.com/gpu": 1, "cpu": "4"}}


def test_a_stage_without_resources_of_its_own_has_the_operators() -> None:
    (container,) = pod_of(drawn(select_job))["containers"]
    assert container["resources"] == {"requests": {"cpu": "250m", "memory": "512Mi"}}


@pytest.mark.parametrize("given", [{"requests": {"memory": "64Gi"}}, {"limits": {"memory": "64Gi"}}])
def test_a_resource_that_a_job_names_is_its_own(given: dict[str, Any]) -> None:
    overrides = PodOverrides.model_validate({"resources": given})
    laid = DEFAULTS.under(overrides, StageKind.TRAIN).resources
    assert laid.limits.get("memory") == given.get("limits", {}).get("memory")
    assert laid.requests == {"cpu": "2"} | given.get("requests", {})


def test_gpus_and_memory_of_the_defaults_are_planned_with() -> None:
    defaults = StageDefaults.model_validate({"resources": {"train": {"limits": {"nvidia.com/gpu": 2}}}})
    spec = with_defaults(resource(pods={}), defaults).spec
    assert gpus_per_pod(spec, StageKind.TRAIN, SETTINGS) == 2
    given = resource(pods={"train": {"resources": {"limits": {"nvidia.com/gpu": 0}}}})
    assert gpus_per_pod(with_defaults(given, defaults).spec, StageKind.TRAIN, SETTINGS) == 0


def test_every_stage_of_a_kind_has_them() -> None:
    owner = resource()
    owner = replace(owner, spec=owner.spec.model_copy(update={"pods": DistillPods()}))
    pods = with_defaults(owner, DEFAULTS).spec.pods
    assert {pods.of(stage).runtime_class_name for stage in StageKind} == {"gvisor"}


def test_without_defaults_nothing_is_laid() -> None:
    owner = resource()
    assert with_defaults(owner, StagePods().defaults) is owner

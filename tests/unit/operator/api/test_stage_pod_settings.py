"""What Kubernetes would refuse of every Job is refused once, where the administrator has written it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from pfd_operator.api.stage_pods import StagePods


@pytest.mark.parametrize(
    "given",
    [
        {"labels": {"team": "", "example.org/cost-centre": "A_7.x"}},
        {"labels": {"our.kueue.x-k8s.io/team": "atoms", "example.org/job-name": "x", "pfd.dev": "x"}},
        {"annotations": {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false", "note": "any text: {}"}},
        {"environment": {"https_proxy": "http://proxy:3128", "NO_PROXY": ".svc,10.0.0.0/8"}},
        {"serviceAccountName": "pfd.stages-1"},
        {"serviceAccountName": None},
        {"smallContainerResources": {"limits": {"nvidia.com/gpu": 0, "memory": "256Mi"}}},
    ],
)
def test_what_kubernetes_takes(given: dict[str, Any]) -> None:
    StagePods.model_validate(given)


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({"labels": {"team": "the atoms"}}, "labels"),
        ({"labels": {"team": "a" * 64}}, "labels"),
        ({"labels": {"-team": "atoms"}}, "labels"),
        ({"labels": {"Example.org/team": "atoms"}}, "labels"),
        ({"labels": {"batch.kubernetes.io/job-name": "x"}}, "labels"),
        ({"labels": {"job-name": "x"}}, "labels"),
        ({"labels": {"controller-uid": "x"}}, "labels"),
        ({"labels": {"kueue.x-k8s.io/queue-name": "gpus"}}, "labels"),
        ({"labels": {"pfd.dev/stage": "train"}}, "labels"),
        ({"annotations": {"": "x"}}, "annotations"),
        ({"annotations": {"a/b/c": "x"}}, "annotations"),
        ({"environment": {"1A": "x"}}, "environment"),
        ({"environment": {"A=B": "x"}}, "environment"),
        ({"serviceAccountName": "Stages"}, "serviceAccountName"),
        ({"serviceAccountName": "a" * 254}, "serviceAccountName"),
        ({"smallContainerResources": {"limits": {"nvidia.com/gpu": 1}}}, "smallContainerResources"),
        ({"serviceAccount": "stages"}, "serviceAccount"),
        ({"defaults": {"tolerations": [{"operator": "Equal"}]}}, "defaults"),
        ({"defaults": {"resources": {"labels": {}}}}, "defaults"),
        ({"defaults": {"resources": {"label": {"limits": {"nvidia.com/gpu": "1k"}}}}}, "defaults"),
    ],
)
def test_what_it_refuses(given: dict[str, Any], place: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        StagePods.model_validate(given)
    assert {error["loc"][0] for error in refusal.value.errors()} == {place}

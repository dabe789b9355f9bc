"""What counts as a GPU."""

from __future__ import annotations

from typing import Any

import pytest
from plan_samples import resource

from pfd_operator.contract.stage import StageKind
from pfd_operator.plan.budget import gpus_per_pod


@pytest.mark.parametrize(
    ("overrides", "gpus"),
    [
        ({}, 0),
        ({"resources": {"limits": {"cpu": 4, "nvidia.com/gpu": 2}}}, 2),
        ({"resources": {"limits": {"nvidia.com/mig-1g.10gb": "1"}}}, 1),
        ({"resources": {"limits": {"amd.com/gpu": 1}}}, 1),
        ({"resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "h100"}]}, 1),
        ({"resourceClaims": [{"name": "gpus", "resourceClaimName": "a", "gpus": 4}]}, 4),
        ({"resourceClaims": [{"name": "nic", "resourceClaimName": "b", "gpus": 0}]}, 0),
    ],
)
def test_gpus_of_a_pod(overrides: dict[str, Any], gpus: int) -> None:
    assert gpus_per_pod(resource(pods={"train": overrides}).spec, StageKind.TRAIN) == gpus

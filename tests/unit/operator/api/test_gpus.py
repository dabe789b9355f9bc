"""GPUs are counted by the names of their device plugins, and what only says something of a GPU is none."""

from __future__ import annotations

import pytest

from pfd_operator.api.pods import Resources, gpus_in

COUNTED = [
    "nvidia.com/gpu",
    "nvidia.com/gpu.shared",
    "nvidia.com/mig-1g.10gb",
    "nvidia.com/mig-1g.10gb.shared",
    "amd.com/gpu",
    "gpu.intel.com/i915",
    "gpu.intel.com/xe",
]
COMPANIONS: dict[str, str | int] = {
    "cpu": "500m",
    "nvidia.com/gpumem": 3000,
    "nvidia.com/gpumem-percentage": "50",
    "nvidia.com/gpucores": 30,
    "amd.com/gpumem": "3000",
    "gpu.intel.com/memory.max": "8Gi",
    "gpu.intel.com/millicores": 500,
    "gpu.intel.com/tiles": 2,
    "gpu.intel.com/i915_monitoring": 1,
}


@pytest.mark.parametrize("name", COUNTED)
def test_what_counts_beside_what_does_not(name: str) -> None:
    assert gpus_in(Resources(limits={name: 2} | COMPANIONS).limits) == 2
    with pytest.raises(ValueError, match=f"{name} is 1k: give a whole number of GPUs"):
        Resources(limits={name: "1k"})


def test_several_kinds_add_up() -> None:
    assert gpus_in({"nvidia.com/gpu": 1, "nvidia.com/mig-1g.10gb": "3"}) == 4
    assert gpus_in(COMPANIONS) == 0

"""Numbers of which zero or less means nothing are refused where they are written."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from pfd_operator.contract.distill import Acceptance
from pfd_operator.contract.systems import Perturb


@pytest.mark.parametrize("supercell", [[-1, 1, 1], [0, 1, 1], [1, 1]])
def test_a_supercell_repeats_the_cell(supercell: list[int]) -> None:
    with pytest.raises(ValidationError, match="supercell"):
        Perturb.model_validate({"supercell": supercell})


def test_a_surface_is_a_plane() -> None:
    with pytest.raises(ValidationError, match=r"\[0, 0, 0\] is no plane"):
        Perturb.model_validate({"slab": {"miller": [0, 0, 0]}})
    Perturb.model_validate({"slab": {"miller": [0, -1, 0]}})


@pytest.mark.parametrize("sizes", [[0], [108, -5]])
def test_models_are_timed_on_atoms(sizes: list[int]) -> None:
    with pytest.raises(ValidationError, match="sizes"):
        Acceptance.model_validate({"forceRMSE": 0.1, "sizes": sizes})


def test_the_api_server_refuses_them_too(spec_schemas: dict[str, dict[str, Any]]) -> None:
    spec = spec_schemas["distilljobs"]["properties"]
    perturb: dict[str, Any] = spec["systems"]["items"]["properties"]["perturb"]["properties"]
    assert perturb["supercell"]["items"]["minimum"] == 1
    assert perturb["slab"]["properties"]["miller"]["x-kubernetes-validations"][0]["rule"] == "self.exists(i, i != 0)"
    assert spec["acceptance"]["properties"]["sizes"]["items"]["minimum"] == 1


def test_a_label_stage_has_no_more_indexes_than_kubernetes_takes(spec_schemas: dict[str, dict[str, Any]]) -> None:
    """A Job with retries by index has 100 000 at most, and a pod labels one frame, or AIMD trajectory, at least."""

    def most(spec: dict[str, Any], *path: str) -> int:
        for step in path:
            spec = spec.get("properties", {}).get(step, {})
        return int(spec.get("maximum", 0))

    at_start = (("holdout", "frames"), ("aimd", "trajectories"), ("labeling", "noiseCheck", "frames"))
    for spec in spec_schemas.values():
        assert sum(most(spec, *path) for path in at_start) <= 100_000
        later = (("selection", "framesPerIteration"), ("labeling", "noiseCheck", "farthest"))
        assert 0 < sum(most(spec, *path) for path in later) <= 100_000

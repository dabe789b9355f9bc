"""The generated definitions: small enough, and described where users read them."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from pfd_operator.api.crd import rendered

LARGEST_BYTES = 60_000


@pytest.mark.parametrize("name", sorted(rendered()))
def test_a_definition_is_small(name: str) -> None:
    assert len(rendered()[name].encode()) <= LARGEST_BYTES


def fields(name: str, *path: str) -> dict[str, Any]:
    schema = yaml.safe_load(rendered()[f"pfd.dev_{name}.yaml"])["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for step in path:
        schema = schema["properties"][step]
    found: dict[str, Any] = schema["properties"]
    return found


@pytest.mark.parametrize("field", ["confidence", "everyStratum", "novelFraction", "explodedFraction"])
def test_limits_beside_errors_are_explained_and_asked_for_by_nobody_unasked(field: str) -> None:
    convergence = fields("finetunejobs", "spec", "convergence")
    assert "Default" in convergence[field]["description"]
    assert convergence[field].get("default", False) is False
    assert field not in fields("distilljobs", "spec", "acceptance")


def test_a_noise_check_is_explained() -> None:
    check = fields("finetunejobs", "spec", "labeling", "noiseCheck")
    assert check["frames"]["default"] == 4
    assert "cutoffEv" in check["settings"]["description"]

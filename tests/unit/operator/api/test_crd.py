"""The generated definitions: small enough, and described where users read them."""

from __future__ import annotations

from typing import Any

import pytest

from pfd_operator.api.kinds import KINDS

LARGEST_BYTES = 60_000


def test_a_definition_is_small(definition_files: dict[str, str]) -> None:
    sizes = {name: len(text.encode()) for name, text in definition_files.items()}
    assert len(sizes) == len(KINDS)
    assert not {name: size for name, size in sizes.items() if size > LARGEST_BYTES}


def fields(schema: dict[str, Any], *path: str) -> dict[str, Any]:
    for step in path:
        schema = schema["properties"][step]
    found: dict[str, Any] = schema["properties"]
    return found


@pytest.mark.parametrize("field", ["confidence", "everyStratum", "novelFraction", "explodedFraction"])
def test_limits_beside_errors_are_explained_and_asked_for_by_nobody_unasked(
    spec_schemas: dict[str, dict[str, Any]], field: str
) -> None:
    convergence = fields(spec_schemas["finetunejobs"], "convergence")
    assert "Default" in convergence[field]["description"]
    assert convergence[field].get("default", False) is False
    assert field not in fields(spec_schemas["distilljobs"], "acceptance")


def test_a_noise_check_is_explained(spec_schemas: dict[str, dict[str, Any]]) -> None:
    check = fields(spec_schemas["finetunejobs"], "labeling", "noiseCheck")
    assert check["frames"]["default"] == 4
    assert "cutoffEv" in check["settings"]["description"]

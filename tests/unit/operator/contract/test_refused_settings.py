"""What a schema cannot see: keys that YAML misread, and MD that gives no frame."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from pfd_operator.contract.labeling import AbinitEngine, AseEngine
from pfd_operator.contract.settings import ExplorationStage, System


def abinit(**pseudopotentials: str) -> AbinitEngine:
    return AbinitEngine.model_validate({"cutoffEv": 300, "kSpacing": 1, "pseudopotentials": pseudopotentials})


def test_elements_are_named_by_their_symbols() -> None:
    assert set(abinit(Ga="Ga.psp8", N="N.psp8").pseudopotentials) == {"Ga", "N"}
    with pytest.raises(ValidationError, match="'gallium' is no element"):
        abinit(gallium="Ga.psp8")
    # what kubectl makes of {Ga: Ga.psp8, N: N.psp8}
    with pytest.raises(ValidationError, match=r"'false' is no element: YAML takes N and Y .* write .N. and .Y."):
        abinit(Ga="Ga.psp8", false="N.psp8")


@pytest.mark.parametrize(
    ("parameters", "fine"),
    [
        ({"setups": {"base": "recommended", "N": "_h"}, "lreal": False}, True),
        ({"setups": {"base": "recommended", "false": "_h"}}, False),
        ({"true": 1}, False),
        ({"species": [{"false": 1}]}, False),
    ],
)
def test_no_key_of_a_calculator_is_a_truth_value(parameters: dict[str, Any], fine: bool) -> None:
    given = {"calculator": "ase.calculators.vasp:Vasp", "parameters": parameters}
    if fine:
        assert AseEngine.model_validate(given).parameters == parameters
        return
    with pytest.raises(ValidationError, match="YAML takes N and Y"):
        AseEngine.model_validate(given)


@pytest.mark.parametrize(("name", "fine"), [("si-001", True), ("001", False), ("1e5", False), ("t", False)])
def test_names_of_systems_stay_text_in_extended_xyz(name: str, fine: bool) -> None:
    given = {"name": name, "structures": {"inline": "1\n\nSi 0 0 0\n"}}
    if fine:
        assert System.model_validate(given).name == name
        return
    with pytest.raises(ValidationError, match="would take it for a number or a truth value"):
        System.model_validate(given)


def test_each_stage_of_md_gives_a_frame() -> None:
    stage = {"temperaturesKelvin": [300], "steps": 10}
    assert ExplorationStage.model_validate(stage).sample_every == 10
    with pytest.raises(ValidationError, match=r"sampleEvery\n.*with 8 steps no trajectory gives a frame"):
        ExplorationStage.model_validate(stage | {"steps": 8})

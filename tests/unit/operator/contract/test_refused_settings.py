"""What a schema cannot see: keys that YAML misread, and MD that gives no frame."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from pfd_operator.contract.digest import digest_of
from pfd_operator.contract.engine import AbinitEngine, AseEngine
from pfd_operator.contract.exploration import Exploration, ExplorationStage
from pfd_operator.contract.labeling import Labeling
from pfd_operator.contract.selection import Selection
from pfd_operator.contract.systems import Perturb, System
from pfd_operator.contract.training import Training


def abinit(extra: dict[str, Any] | None = None, **pseudopotentials: str) -> AbinitEngine:
    given = {"cutoffEv": 300, "kSpacing": 1, "pseudopotentials": pseudopotentials, "extra": extra or {}}
    return AbinitEngine.model_validate(given)


def test_elements_are_named_by_their_symbols() -> None:
    assert set(abinit(Ga="Ga.psp8", N="N.psp8").pseudopotentials) == {"Ga", "N"}
    with pytest.raises(ValidationError, match="'gallium' is no element"):
        abinit(gallium="Ga.psp8")
    # what kubectl makes of {Ga: Ga.psp8, N: N.psp8}
    with pytest.raises(ValidationError, match=r"'false' is no element: YAML takes N and Y .* write .N. and .Y."):
        abinit(Ga="Ga.psp8", false="N.psp8")


NIO: dict[str, Any] = {"Ni": "Ni.xml", "O": "O.xml"}


@pytest.mark.parametrize(
    "extra",
    [
        {"lpawu": {"Ni": 2, "O": -1}, "upawu": {"Ni": 0.3, "O": 0, "N": 0}},
        {"chempot": {"Ni": [[0, 1, 0]], "O": [[0, 2, 0]]}},
        {"ratsph": "*2.0", "usepawu": 1, "ngkpt": [2, 2, 2]},
    ],
)
def test_arrays_over_types_are_given_by_element(extra: dict[str, Any]) -> None:
    assert abinit(extra, **NIO).extra == extra


def test_of_one_element_there_is_one_order_only() -> None:
    assert abinit({"lpawu": [2]}, Ni="Ni.xml").extra == {"lpawu": [2]}


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"lpawu": [2, -1]}, r"extra\n.*lpawu has a value for each type of atom.* give \{element: value\} for Ni, O"),
        ({"UPAWU": "0.3 0.0"}, "UPAWU has a value for each type"),
        ({"f4of2_sla": 0.6}, "f4of2_sla has a value for each type"),
        ({"lpawu": {"Ni": 2}}, "lpawu has no value for O: give each element of pseudopotentials one"),
        ({"upawu": {"Ni": "4.0 eV", "O": 0}}, "upawu: the value of Ni is no number.*Ha"),
        ({"ldaminushalf": {"Ni": True, "O": 0}}, "ldaminushalf: the value of Ni is no number"),
        ({"lpawu": {"ni": 2, "O": -1}}, "lpawu: 'ni' is no element"),
        ({"lpawu": {"Ni": 2, "O": -1, "false": -1}}, "'false' is no element: YAML takes N and Y"),
    ],
)
def test_what_would_fall_to_another_element_is_refused(extra: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        abinit(extra, **NIO)


def test_tighter_settings_are_given_by_element_too() -> None:
    engine = {"abinit": abinit(**NIO).to_json()}
    with pytest.raises(ValidationError, match=r"noiseCheck\.settings\.extra\n.*amu has a value for each type"):
        Labeling.model_validate({"engine": engine, "noiseCheck": {"settings": {"extra": {"amu": [58.7, 16]}}}})


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
    with pytest.raises(ValidationError, match="read it back as a number or a boolean"):
        System.model_validate(given)


def test_each_stage_of_md_gives_a_frame() -> None:
    stage = {"temperaturesKelvin": [300], "steps": 10}
    assert ExplorationStage.model_validate(stage).sample_every == 10
    with pytest.raises(ValidationError, match=r"sampleEvery\n.*with 8 steps no trajectory gives a frame"):
        ExplorationStage.model_validate(stage | {"steps": 8})


def test_systems_of_a_stage_are_some_and_differ() -> None:
    stage = {"temperaturesKelvin": [300], "systems": ["melt", "slab"]}
    assert ExplorationStage.model_validate(stage).to_json()["systems"] == ["melt", "slab"]
    for names, words in ((["melt", "slab", "melt"], r"systems\n.*names must differ"), ([], r"systems\n.*at least 1")):
        with pytest.raises(ValidationError, match=words):
            ExplorationStage.model_validate(stage | {"systems": names})


def test_what_was_explored_without_named_systems_has_the_digest_it_had() -> None:
    exploration = Exploration.model_validate({"stages": [{"temperaturesKelvin": [300]}]})
    assert digest_of(exploration.to_json()).startswith("ea691f952d67fd62")


@pytest.mark.parametrize("field", ["temperaturesKelvin", "pressuresBar"])
def test_no_condition_of_md_is_given_twice(field: str) -> None:
    stage = {"temperaturesKelvin": [300], "pressuresBar": [1, 1000]}
    with pytest.raises(ValidationError, match=rf"{field}\n.*the values must differ"):
        ExplorationStage.model_validate(stage | {field: [300, 600, 300]})


def test_a_learning_rate_does_not_rise() -> None:
    assert Training.model_validate({"learningRateStart": 1e-5}).learning_rate_stop == 1e-6
    with pytest.raises(ValidationError, match=r"learningRateStop\n.*must not be larger than.*\(1e-07\)"):
        Training.model_validate({"learningRateStart": 1e-7})


def test_shares_of_a_selection_are_of_one_whole() -> None:
    assert Selection.model_validate({"representativeFraction": 0.75, "lowEnergyFraction": 0.25})
    with pytest.raises(ValidationError, match=r"lowEnergyFraction\n.*representativeFraction \(0\.75\) add up"):
        Selection.model_validate({"representativeFraction": 0.75, "lowEnergyFraction": 0.3})


def test_vacancies_of_named_elements_are_some() -> None:
    assert Perturb(vacancies=2, vacancy_elements=["Li", "Na"]).to_json()["vacancyElements"] == ["Li", "Na"]
    with pytest.raises(ValidationError, match=r"vacancyElements\n.*vacancies is 0"):
        Perturb.model_validate({"vacancyElements": ["Li"]})
    with pytest.raises(ValidationError, match="pattern"):
        Perturb.model_validate({"vacancies": 1, "vacancyElements": ["li"]})


def test_what_was_prepared_without_named_elements_has_the_digest_it_had() -> None:
    assert "vacancyElements" not in Perturb(vacancies=2).to_json()

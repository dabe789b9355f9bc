"""Files of spec.data and computed labels: told apart, and of one zero of energy."""

from itertools import chain

import numpy as np
import pytest
from ase import Atoms

from pfd_worker.errors import StageError
from pfd_worker.evaluation.errors import FrameError
from pfd_worker.evaluation.sources import COMPUTED, LARGEST_OFFSET_EV, by_source, check_zeros, zero_open

ZEROS = {"Na": -1300.0, "Cl": -450.0}
"""Of the reference, in eV an atom, where the model's are 0."""


def labels(source, formulas, offset=0.0, seed=0):
    """Return frames of a source and the model's errors; `offset` moves its energies, in eV an atom."""
    rng = np.random.default_rng(seed)
    frames, errors = [], []
    for formula in formulas:
        atoms = Atoms(formula)
        atoms.info = {"stratum": "salt/300K" if source == COMPUTED else "data", "trajectory": source}
        symbols = tuple(atoms.get_chemical_symbols())
        label = sum(ZEROS[symbol] + offset for symbol in symbols) + 0.1 * len(symbols) * rng.normal()
        frames.append(atoms)
        errors.append(FrameError("all", symbols, -label, np.zeros((len(symbols), 3)), None))
    return frames, errors


def together(*parts):
    return [list(chain.from_iterable(column)) for column in zip(*parts, strict=True)]


def test_each_file_is_a_source_and_all_computed_labels_are_another():
    frames, _ = together(
        labels(COMPUTED, ["NaCl", "Na"]), labels("spec.data[0]", ["NaCl"]), labels("spec.data[1]", ["NaCl", "NaCl"])
    )
    assert by_source(frames) == {COMPUTED: [0, 1], "spec.data[0]": [2], "spec.data[1]": [3, 4]}


@pytest.mark.parametrize("offset", [0.0, 0.7 * LARGEST_OFFSET_EV, -0.7 * LARGEST_OFFSET_EV])
def test_sources_of_one_zero_pass(offset):
    check_zeros(
        *together(labels(COMPUTED, ["NaCl", "Na2Cl2", "NaCl3"]), labels("spec.data[0]", ["NaCl3", "Na3Cl"], offset))
    )


@pytest.mark.parametrize(("offset", "words"), [(30.0, r"spec.data\[1\].* 30.\d eV per atom above"), (-2.0, "below")])
def test_a_file_of_another_zero_is_named(offset, words):
    with pytest.raises(StageError, match=words) as refused:
        check_zeros(
            *together(
                labels(COMPUTED, ["Na2Cl2", "NaCl3"]),
                labels("spec.data[0]", ["NaCl3"] * 50),
                labels("spec.data[1]", ["Na3Cl"] * 3, offset),
            )
        )
    assert COMPUTED in refused.value.message


def test_without_computed_labels_the_largest_file_is_right():
    with pytest.raises(StageError, match=r"spec.data\[0\]: .* those of spec.data\[1\]"):
        check_zeros(*together(labels("spec.data[0]", ["NaCl"] * 3, 5.0), labels("spec.data[1]", ["NaCl"] * 9)))


def test_a_composition_whose_zero_the_reference_leaves_open_is_not_judged():
    # of NaCl alone it does not follow what an atom of sodium has; and no chlorine says nothing of it at all
    for computed, given in ((["NaCl"], ["Na3Cl"]), (["Na"], ["NaCl"])):
        check_zeros(*together(labels(COMPUTED, computed * 3), labels("spec.data[0]", given * 3, 20.0)))


@pytest.mark.parametrize("parts", [[], [labels(COMPUTED, ["NaCl"])], [labels("spec.data[0]", ["NaCl"], 9.0)]])
def test_one_source_or_none_passes(parts):
    check_zeros(*together(*parts)) if parts else check_zeros([], [])


def test_a_vacancy_whose_energy_the_model_misses_does_not_refuse_a_metal_of_the_same_zero():
    rng = np.random.default_rng(0)
    frames, errors = [], []
    for number in range(16):
        # one lithium is missing in every other cell, which costs 1.2 eV more than the model says
        vacancies = number % 2
        symbols = ("Li",) * (32 - vacancies) + ("Cl",) * 32
        frames.append(Atoms(symbols, info={"trajectory": f"t{number}", "stratum": "licl/300K"}))
        missed = -1.2 * vacancies + 0.003 * len(symbols) * rng.normal()
        errors.append(FrameError("licl", symbols, missed, np.zeros((len(symbols), 3)), None))
    metal = Atoms("Li16", info={"trajectory": "spec.data[0]", "stratum": "data"})
    right = FrameError("data", ("Li",) * 16, 0.0, np.zeros((16, 3)), None)
    check_zeros([*frames, *[metal] * 8], [*errors, *[right] * 8])


def of_system(system, *formulas):
    return [Atoms(formula, info={"system": system}) for formula in formulas]


def test_compositions_whose_zero_no_label_tells_are_named_with_their_systems():
    holdout = [*of_system("salt", "NaCl", "Na2Cl2"), *of_system("metal", "Na2", "Na4")]
    caution = zero_open(of_system("salt", "NaCl"), holdout)
    assert "zero of energy in metal (Na): energies there are off by an unknown constant" in caution.message
    assert zero_open(of_system("salt", "NaCl", "Na2"), holdout) is None
    assert zero_open(of_system("salt", "NaCl"), []) is None


def test_without_a_label_to_train_on_all_zeros_are_open():
    assert (
        "zero of energy in salt (ClNa), metal (Na):"
        in zero_open([], of_system("salt", "NaCl") + of_system("metal", "Na2")).message
    )
    assert zero_open([], []) is None

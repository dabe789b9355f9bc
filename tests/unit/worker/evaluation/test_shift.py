"""Energies of elements out of energies of frames: what the compositions determine, and what they leave open."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pfd_worker.evaluation.errors import FrameError, energy_rmse_per_atom
from pfd_worker.evaluation.shift import (
    determined,
    energies_of_elements,
    fit_energies_of_elements,
    only_determined,
    without_shift,
)

ELEMENTS = ["Cl", "Co", "Li", "O"]
COUNTS = st.lists(st.integers(0, 9), min_size=4, max_size=4).filter(any)


def symbols(counts):
    return [element for element, count in zip(ELEMENTS, counts, strict=True) for _ in range(count)]


def energies(rows, zeros):
    return np.array([np.mean([zeros[ELEMENTS.index(symbol)] for symbol in row]) for row in rows])


@given(
    counts=st.lists(COUNTS, min_size=1, max_size=12), asked=st.lists(COUNTS, min_size=1, max_size=6),
    zeros=st.lists(st.floats(-5000, 5000), min_size=4, max_size=4),
)  # fmt: skip
@settings(deadline=None)
def test_zeros_however_far_apart_are_found_where_they_are_called_determined(counts, asked, zeros):
    known, others = [symbols(row) for row in counts], [symbols(row) for row in asked]
    found = dict.fromkeys(ELEMENTS, 0.0) | fit_energies_of_elements(known, energies(known, zeros))
    np.testing.assert_allclose(energies_of_elements(known, energies(known, zeros)), energies(known, zeros), atol=1e-3)
    predicted = energies(others, [found[element] for element in ELEMENTS])
    follows = determined(known, others)
    np.testing.assert_allclose(predicted[follows], energies(others, zeros)[follows], atol=1e-3)
    assert determined(known, known).all()


def test_what_is_left_open_is_given_to_all_elements_alike():
    found = fit_energies_of_elements([symbols([0, 1, 1, 2])] * 5, np.full(5, -1265.0))
    assert found == pytest.approx({"Co": -1265.0, "Li": -1265.0, "O": -1265.0})


@pytest.mark.parametrize(
    ("known", "asked", "follows"),
    [
        ([[1, 0, 1, 0]], [2, 0, 2, 0], True),
        ([[1, 0, 1, 0]], [0, 0, 1, 0], False),
        ([[1, 0, 1, 0], [3, 0, 1, 0]], [1, 0, 3, 0], True),
        # a vacancy: an error of a tenth of an eV per atom is one of several per atom of the metal
        ([[32, 0, 32, 0], [32, 0, 31, 0]], [0, 0, 1, 0], False),
        ([[32, 0, 32, 0], [32, 0, 31, 0]], [32, 0, 30, 0], True),
        ([[32, 0, 32, 0]], [32, 0, 31, 0], False),
        # no more frames help: they share the model's error of their composition
        ([[32, 0, 32, 0], [32, 0, 31, 0]] * 100, [0, 0, 1, 0], False),
    ],
)
def test_a_zero_is_determined_if_the_models_own_error_does_not_grow_too_much(known, asked, follows):
    assert determined([symbols(row) for row in known], [symbols(asked)]).tolist() == [follows]


def test_energies_are_left_out_where_no_frame_tells_their_zero():
    salt, metal = (
        FrameError("s", tuple(symbols(row)), 0.1, np.zeros((2, 3)), None) for row in ([1, 0, 1, 0], [0, 0, 2, 0])
    )
    assert [e.energy_ev for e in only_determined([salt, metal], [salt])] == [0.1, None]
    assert [e.energy_ev for e in only_determined([salt, metal], [])] == [None, None]
    assert only_determined([], []) == []


def test_what_one_model_is_off_from_another_stays_where_the_others_zero_is_left_out():
    rows = [symbols(counts) for counts in ([1, 0, 1, 0], [3, 0, 1, 0])] * 50
    zeros, scatter = [-700.0, 0.0, 30.0, 0.0], 0.002 * np.random.default_rng(1).normal(size=100)
    teacher = [
        FrameError("s", tuple(row), len(row) * per_atom, np.zeros((len(row), 3)), None)
        for row, per_atom in zip(rows, energies(rows, zeros) + scatter, strict=True)
    ]
    student = [replace(error, energy_ev=error.energy_ev + 0.01 * error.n_atoms) for error in teacher]
    assert energy_rmse_per_atom(without_shift(teacher, teacher)) == pytest.approx(0.002, rel=0.2)
    assert energy_rmse_per_atom(without_shift(student, teacher)) == pytest.approx(0.0102, rel=0.05)
    assert [error.energy_ev for error in without_shift(student[:2], teacher[:2])] == [None, None]


def test_what_one_model_is_off_from_another_is_not_scaled_up_for_few_frames():
    rows = [symbols(counts) for counts in ([1, 0, 1, 0], [3, 0, 1, 0], [1, 0, 1, 0])]
    teacher = [
        FrameError("s", tuple(row), float(energy) * len(row), np.zeros((len(row), 3)), None)
        for row, energy in zip(rows, energies(rows, [-700.0, 0.0, 30.0, 0.0]), strict=True)
    ]
    student = [replace(error, energy_ev=error.energy_ev + 0.01 * error.n_atoms) for error in teacher]
    assert energy_rmse_per_atom(without_shift(teacher, teacher)) == pytest.approx(0, abs=1e-6)
    assert energy_rmse_per_atom(without_shift(student, teacher)) == pytest.approx(0.01)

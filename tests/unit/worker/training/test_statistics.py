"""How many frames give the statistics of a student from scratch, and that the others are not forgotten."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule

from pfd_operator.contract.student import Student, StudentTraining
from pfd_worker.frames import labelled
from pfd_worker.training import statistics
from pfd_worker.training.deepmd_sets import DataFolder
from pfd_worker.training.deepmd_settings import base_input, complete_input
from pfd_worker.training.recipe import Purpose
from pfd_worker.training.statistics import bound_statistics
from pfd_worker.training.student import student_model_section

MEBIBYTE = 2**20
ENERGIES = {"Si": -100.0, "Ge": -30.0}


def label(atoms: Atoms, more: float = 0.0) -> Atoms:
    energy = sum(ENERGIES.get(symbol, 0.0) for symbol in atoms.symbols) + more * len(atoms)
    return labelled(atoms, energy, np.zeros((len(atoms), 3)))


def silicon(repeat: int) -> Atoms:
    return label(bulk("Si", cubic=True) * (repeat, repeat, repeat))


def bounded(frames: list[Atoms], template: dict | None = None, **training: object) -> dict:
    section = student_model_section(Student(preset="small"), ["Ge", "Si"])
    base = base_input(StudentTraining(template=template or {}, **training), section, Purpose.SCRATCH)
    settings = complete_input(base, [DataFolder(Path("a"), len(frames), len(frames[0]))], 1.0, seed=3)
    bound_statistics(settings, frames)
    return settings["model"]


@pytest.mark.parametrize(
    ("repeat", "measured"),
    # what a frame took of deepmd-kit 3.2.0, cutoff 5 Å
    [(2, 6.11 * MEBIBYTE), (3, 68.4 * MEBIBYTE)],
)
def test_statistics_stay_below_a_gibibyte(repeat, measured):
    model = bounded([silicon(repeat)] * 400)
    assert 0.5 < model["data_stat_nbatch"] * measured / statistics.STATISTICS_BYTES < 1


def test_statistics_of_little_come_from_all_frames():
    for frame in (silicon(1), label(molecule("H2O"))):
        model = bounded([frame] * 400)
        assert model["data_stat_nbatch"] == 400 and "preset_out_bias" not in model


def test_a_batch_of_several_frames_counts_as_such():
    assert bounded([silicon(2)] * 400, batch_size=4)["data_stat_nbatch"] == pytest.approx(
        bounded([silicon(2)] * 400)["data_stat_nbatch"] / 2, abs=1
    )


def test_one_batch_is_taken_however_large_it_is():
    assert bounded([silicon(6)] * 2)["data_stat_nbatch"] == 1


def flat(element: str, axis: int) -> Atoms:
    atoms = bulk(element, cubic=True)
    atoms.cell[axis] *= 0.3
    return label(atoms)


def test_frames_of_one_size_are_looked_at_as_far_as_any_of_them_needs():
    one = bounded([flat("Si", 0)] * 2000)["data_stat_nbatch"]
    assert bounded([*[flat("Si", 0)] * 1999, flat("Ge", 0)])["data_stat_nbatch"] == one
    assert bounded([*[flat("Si", 0)] * 1999, flat("Ge", 1)])["data_stat_nbatch"] < 0.7 * one


def test_energies_of_elements_are_those_of_all_frames(monkeypatch):
    monkeypatch.setattr(statistics, "STATISTICS_BYTES", MEBIBYTE)
    silicon_frames = [label(bulk("Si", cubic=True), more) for more in np.linspace(-1, 1, 41)]
    alloy = bulk("Si", cubic=True)
    alloy.symbols[:4] = "Ge"
    model = bounded([*silicon_frames, *[label(alloy, more) for more in np.linspace(-1, 1, 11)]])
    assert model["data_stat_nbatch"] < 5
    assert model["preset_out_bias"]["energy"] == pytest.approx([ENERGIES["Ge"], ENERGIES["Si"]])


def test_energies_that_users_give_stay(monkeypatch):
    monkeypatch.setattr(statistics, "STATISTICS_BYTES", MEBIBYTE)
    given = {"energy": [None, -7.0]}
    frames = [silicon(1)] * 40
    assert bounded(frames, {"model": {"preset_out_bias": given}})["preset_out_bias"] == given
    assert "preset_out_bias" not in bounded(frames, {"training": {"change_bias_after_training": True}})

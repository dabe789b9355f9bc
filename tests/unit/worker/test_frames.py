from unittest.mock import Mock

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms, FixCartesian
from ase.io import iread, write

from pfd_worker.cells import reference_cell
from pfd_worker.frames import (
    energy_of,
    has_virial,
    is_labelled,
    labelled,
    parse_frames,
    read_frames,
    read_rows,
    virial_of,
    write_frames,
)


def frame(seed=1, virial=True):
    rng = np.random.default_rng(seed)
    atoms = bulk("Si", cubic=True)
    atoms.rattle(0.1, seed=seed)
    atoms.info.update(stratum="si/300K/1bar", trajectory="t-1", step=10)
    matrix = rng.normal(size=(3, 3))
    return labelled(atoms, rng.normal(), rng.normal(size=(8, 3)), matrix + matrix.T if virial else None)


def test_rows_are_read_in_their_order_and_no_other_frame_is_parsed(tmp_path, monkeypatch):
    write_frames(tmp_path / "a.extxyz", [frame(seed) for seed in range(6)])
    read = Mock(wraps=iread)
    monkeypatch.setattr("pfd_worker.frames.iread", read)
    chosen = read_rows(tmp_path / "a.extxyz", [4, 0])
    assert read.call_count == 2
    for atoms, seed in zip(chosen, (4, 0), strict=True):
        np.testing.assert_allclose(atoms.positions, frame(seed).positions, atol=1e-7)


def test_labels_virials_and_info_survive_the_file(tmp_path):
    frames = [frame(1), frame(2, virial=False)]
    write_frames(tmp_path / "a.extxyz", frames)
    back = read_frames(tmp_path / "a.extxyz")
    assert energy_of(back[0]) == pytest.approx(energy_of(frames[0]))
    np.testing.assert_allclose(back[0].get_forces(), frames[0].get_forces(), atol=1e-7)
    np.testing.assert_allclose(virial_of(back[0]), virial_of(frames[0]), rtol=1e-12)
    assert virial_of(back[1]) is None
    assert (back[0].info["stratum"], back[0].info["step"]) == ("si/300K/1bar", 10)


def test_the_cell_of_the_structure_that_a_frame_descends_from_survives_the_file_and_else_is_its_own(tmp_path):
    atoms, cell = frame(), np.random.default_rng(3).normal(size=(3, 3))
    np.testing.assert_array_equal(reference_cell(atoms), atoms.cell.array)
    atoms.info["reference_cell"] = cell
    write_frames(tmp_path / "a.extxyz", [atoms])
    np.testing.assert_allclose(reference_cell(read_frames(tmp_path / "a.extxyz")[0]), cell, rtol=1e-12)


@pytest.mark.parametrize("name", ["001", "111", "1e3", "true", "T", "inf", "si-2"])
def test_a_system_keeps_a_name_that_could_be_a_number_or_a_truth_value(tmp_path, name):
    atoms = frame()
    atoms.info |= {"sub-system": 7, "system": name}
    write_frames(tmp_path / "a.extxyz", [atoms])
    assert read_frames(tmp_path / "a.extxyz")[0].info["system"] == name
    assert parse_frames((tmp_path / "a.extxyz").read_bytes())[0].info["system"] == name


def test_no_frames_make_a_file_without_frames(tmp_path):
    write_frames(tmp_path / "none.extxyz", [])
    assert read_frames(tmp_path / "none.extxyz") == []


@pytest.mark.parametrize("constraint", [FixAtoms([0, 3]), FixCartesian(2, mask=(True, False, True))])
def test_fixed_atoms_keep_their_labelled_forces(tmp_path, constraint):
    given = frame()
    forces = given.get_forces().copy()
    given.set_constraint(constraint)
    write(tmp_path / "fixed.extxyz", [given] * 2)
    assert "move_mask" in (tmp_path / "fixed.extxyz").read_text()
    for atoms in read_frames(tmp_path / "fixed.extxyz"):
        np.testing.assert_allclose(atoms.get_forces(), forces, atol=1e-7)
        assert not atoms.constraints


def test_a_stress_becomes_a_virial_with_the_sign_of_ase():
    atoms = bulk("Si", cubic=True)
    atoms.calc = SinglePointCalculator(atoms, energy=0.0, forces=np.zeros((8, 3)), stress=[0.1, 0.1, 0.1, 0, 0, 0])
    np.testing.assert_allclose(virial_of(atoms), -0.1 * atoms.get_volume() * np.eye(3))


@pytest.mark.parametrize(
    ("pbc", "third_vector", "there"),
    [(True, 5, True), ([True, True, False], 5, False), (False, 5, False), (True, 0, False)],
)
def test_only_what_is_periodic_in_all_directions_has_a_virial(pbc, third_vector, there):
    atoms = Atoms("Cu", cell=[[5, 0, 0], [0, 5, 0], [0, 0, third_vector]], pbc=pbc)
    given = labelled(atoms, 0.0, np.zeros((1, 3)), np.eye(3))
    assert has_virial(atoms) is there
    assert (virial_of(given) is not None) is there


def test_what_counts_as_labelled():
    good = frame()
    assert is_labelled(good)
    bare = bulk("Si")
    assert not is_labelled(bare)
    bare.calc = SinglePointCalculator(bare, energy=1.0)
    assert not is_labelled(bare)
    good.calc.results["forces"][0, 0] = np.nan
    assert not is_labelled(good)


@pytest.mark.parametrize("name", ["energy", "free_energy", "forces"])
def test_words_are_no_label(name):
    told = frame()
    told.calc.results[name] = np.full((len(told), 3), "None") if name == "forces" else "None"
    assert not is_labelled(told)

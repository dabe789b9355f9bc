"""Labelled frames of the user: what of them is kept, and what is refused by file and frame."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from tests.unit.worker.stages.loop import TRAINING, Loop

from pfd_operator.contract.result import ExitCode, Reason
from pfd_worker.errors import StageError
from pfd_worker.frames import virial_of
from pfd_worker.preparation.data import given_data
from pfd_worker.stage_context import StageContext

STRESS = [0.01, 0.02, 0.03, 0.0, 0.0, 0.004]


def frame(atoms: Atoms | None = None, info: dict | None = None, **results) -> Atoms:
    atoms = bulk("Cu", cubic=True) if atoms is None else atoms
    atoms.calc = SinglePointCalculator(atoms, energy=-1.0, forces=np.zeros((len(atoms), 3)), **results)
    atoms.info |= info or {}
    return atoms


def given(folder, *frames: Atoms) -> list[Atoms]:
    write(folder / "data.extxyz", frames)
    loop = Loop(folder)
    params = {"stage": "prepare", "data": [{"uri": f"file://{folder / 'data.extxyz'}"}], "training": TRAINING}
    context = StageContext(loop.spec(params, 0, {}), loop.store, folder)
    return given_data(context, context.spec.params, {})


def refused(folder, *frames: Atoms) -> str:
    with pytest.raises(StageError) as caught:
        given(folder, *frames)
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.USER_ERROR, Reason.DATA_INVALID)
    return str(caught.value)


def dimer() -> Atoms:
    return Atoms("Cu2", [[0, 0, 0], [0, 0, 2.2]])


@pytest.mark.parametrize("info", [{}, {"virial": np.eye(3)}])
def test_a_molecule_has_no_virial_whatever_its_file_says(tmp_path, info):
    (atoms,) = given(tmp_path, frame(dimer(), info, stress=STRESS))
    assert virial_of(atoms) is None
    assert "virial" not in atoms.info


def test_a_sheet_without_a_third_cell_vector_has_no_virial(tmp_path):
    sheet = Atoms("Cu", cell=[[2.5, 0, 0], [0, 2.5, 0], [0, 0, 0]], pbc=[True, True, False])
    assert virial_of(given(tmp_path, frame(sheet, stress=STRESS))[0]) is None


def test_a_stress_becomes_the_virial_and_frames_say_where_they_are_from(tmp_path):
    atoms = given(tmp_path, frame(stress=STRESS, info={"label": "mine"}))[0]
    np.testing.assert_allclose(virial_of(atoms).diagonal(), -bulk("Cu", cubic=True).get_volume() * np.array(STRESS[:3]))
    assert (atoms.info["system"], atoms.info["trajectory"]) == ("data", "spec.data[0]")
    assert "label" not in atoms.info


@pytest.mark.parametrize("zeros", [{"stress": np.zeros(6)}, {"virial": np.zeros((3, 3))}, {"virials": np.zeros(9)}])
def test_zeros_beside_forces_are_no_virial(tmp_path, zeros):
    moved = frame(info={key: value for key, value in zeros.items() if key != "stress"})
    moved.calc.results |= {"forces": np.ones((4, 3)), **({"stress": zeros["stress"]} if "stress" in zeros else {})}
    (atoms,) = given(tmp_path, moved)
    assert virial_of(atoms) is None
    assert "virial" not in atoms.info


VIRIALS = np.array([[-0.5, 0.01, 0.02], [0.01, -0.9, 0.03], [0.02, 0.03, -1.4]])


def test_virials_are_taken_by_the_name_of_gap_and_mace(tmp_path):
    (atoms,) = given(tmp_path, frame(info={"virials": VIRIALS.ravel()}))
    np.testing.assert_allclose(virial_of(atoms), VIRIALS)


def test_virials_beside_the_same_stress_are_unambiguous(tmp_path):
    atoms = frame(stress=STRESS)
    atoms.info["virials"] = virial_of(atoms).ravel()
    assert virial_of(given(tmp_path, atoms)[0]) is not None


@pytest.mark.parametrize(("stress", "virials"), [(STRESS, VIRIALS.ravel()), (None, VIRIALS.ravel()[:6]), (None, "no")])
def test_virials_that_can_be_read_in_two_ways_are_refused_by_frame(tmp_path, stress, virials):
    results = {} if stress is None else {"stress": stress}
    assert "spec.data[0], frame 1 (Cu4): `virials`" in refused(
        tmp_path, frame(), frame(info={"virials": virials}, **results)
    )


def test_values_that_are_not_finite_are_refused_by_frame(tmp_path):
    assert "frame 0 (Cu4): energy and forces" in refused(tmp_path, frame(info={"virial": np.nan * np.eye(3)}))


@pytest.mark.parametrize(
    ("moment", "charges", "words"),
    [
        (2.2, [0.0, 0.0], "it has initial magnetic moments"),
        (0.0, [0.5, 0.0], "its charge is +1.0 e"),
    ],
)
def test_labels_of_a_state_that_ours_are_not_of_are_refused_by_frame(tmp_path, moment, charges, words):
    atoms = bulk("Cu", cubic=True)
    atoms.set_initial_magnetic_moments([moment] * 4)
    atoms.set_initial_charges(charges * 2)
    said = refused(tmp_path, frame(), frame(atoms))
    assert said.startswith(f"spec.data[0], frame 1 (Cu4) cannot be used: {words}")


@pytest.mark.parametrize(
    ("told", "fine"), [({"charge": 1}, False), ({"total_charge": -1.0}, False), ({"charge": 0}, True)]
)
def test_a_charge_that_the_header_tells_is_refused_too(tmp_path, told, fine):
    atoms = frame(info=told)
    if fine:
        assert len(given(tmp_path, atoms)) == 1
    else:
        assert f"its charge is {next(iter(told.values())):+.1f} e" in refused(tmp_path, atoms)


def test_charges_of_a_force_field_are_no_net_charge(tmp_path):
    atoms = bulk("Cu", cubic=True)
    atoms.set_initial_charges([1.0, -1.0, 0.0, 0.0])
    assert len(given(tmp_path, frame(atoms))) == 1

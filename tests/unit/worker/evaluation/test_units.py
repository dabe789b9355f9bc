import numpy as np
import pytest
from ase import units
from ase.build import bulk
from ase.calculators.emt import EMT

from pfd_operator.contract.result import Reason
from pfd_worker.errors import StageError
from pfd_worker.evaluation.units import FEWEST_VALUES, check_units
from pfd_worker.frames import energy_of, labelled, virial_of
from pfd_worker.models.base import Prediction


def world(count=10, noise=0.1, energy_scale=1.0, force_scale=1.0, virial_scale=1.0, zero=0.0, lattice=1.0):
    """Return frames labelled by EMT in some unit, and what a model that is 20 % too soft and a bit wrong predicts."""
    rng = np.random.default_rng(4)
    frames, predictions = [], []
    for number in range(count):
        atoms = bulk("Cu", cubic=True).repeat((2, 1, 1))
        strain = rng.uniform(-0.03, 0.03, (3, 3))
        atoms.set_cell(lattice * atoms.cell.array @ (np.eye(3) + (strain + strain.T) / 2), scale_atoms=True)
        atoms.rattle(0.05 + 0.01 * number, seed=number)
        atoms.calc = EMT()
        energy, forces = atoms.get_potential_energy(), atoms.get_forces()
        virial = -atoms.get_volume() * atoms.get_stress(voigt=False)
        wrong = noise * np.std(forces) * rng.normal(size=forces.shape)
        wrong_virial = 0.5 * noise * rng.normal(size=(3, 3)) + 10 * (lattice - 1) * len(atoms) * np.eye(3)
        predictions.append(Prediction(0.8 * energy - 100.0, 0.8 * forces + wrong, 0.8 * virial + wrong_virial))
        frames.append(labelled(atoms, energy_scale * energy + zero, force_scale * forces, virial_scale * virial))
    return frames, predictions


@pytest.mark.parametrize("changes", [{}, {"noise": 0.5}, {"zero": -5e4}, {"count": 1}, {"count": 0}])
def test_right_units_pass_whatever_the_zero_of_energy(changes):
    check_units(*world(**changes))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"force_scale": 1 / (units.Hartree / units.Bohr)}, "forces are .* times smaller .*eV/Å"),
        ({"force_scale": 1 / (units.kcal / units.mol)}, "forces are .* times as large"),
        ({"energy_scale": 1 / units.Hartree, "zero": 1e3}, "energies are .* times smaller .*eV"),
        ({"energy_scale": 1 / units.Rydberg}, "energies are .* times smaller"),
        ({"energy_scale": 1 / (units.kJ / units.mol)}, "energies are .* times as large"),
        ({"virial_scale": 1 / units.GPa}, "virials are .* times as large .*eV/Å³"),
        ({"virial_scale": 1 / units.Hartree}, "virials are .* times smaller"),
        ({"virial_scale": -1}, "virials have the opposite sign .*though the forces agree"),
        ({"virial_scale": -1 / units.GPa}, "virials have the opposite sign"),
    ],
)
def test_other_units_are_named(changes, words):
    with pytest.raises(StageError, match=words):
        check_units(*world(**changes))


@pytest.mark.parametrize("count", [1, 10])
def test_virials_that_nobody_has_computed_are_refused_where_the_models_are_none(count):
    frames, predictions = world(count=count, virial_scale=1e-12)
    with pytest.raises(StageError, match=r"the labels' virials are all zero, though the model's are") as no:
        check_units(frames, predictions)
    assert no.value.reason is Reason.LABELS_FAILED


def test_virials_of_atoms_far_apart_are_zero_by_the_model_too():
    frames, predictions = world(count=1, virial_scale=1e-12)
    check_units(frames, [Prediction(p.energy, p.forces, 1e-4 * p.virial) for p in predictions])


def test_zeros_of_frames_with_forces_are_no_virials():
    check_units(*world(virial_scale=0))


def test_a_file_of_the_user_is_named_and_is_no_label_in_the_store():
    with pytest.raises(StageError, match=r"^spec.data\[1\]: its forces are .* Correct the file") as refused:
        check_units(*world(force_scale=1 / (units.Hartree / units.Bohr)), source="spec.data[1]")
    assert refused.value.reason is Reason.DATA_INVALID
    assert "prefix" not in refused.value.message


def test_a_model_that_is_hardly_trained_may_be_far_too_soft():
    frames, predictions = world()
    soft = [Prediction(p.energy / 30, p.forces / 30, p.virial) for p in predictions]
    check_units(frames, soft)


def test_a_model_that_knows_nothing_of_the_material_is_no_measure():
    check_units(*world(noise=100.0, energy_scale=1.0, force_scale=1.0))


def test_few_energies_say_nothing():
    check_units(*world(count=FEWEST_VALUES - 1, energy_scale=1 / units.Hartree))


def test_pressures_of_opposite_sign_are_those_of_two_lattice_constants():
    frames, predictions = world(lattice=1.02, noise=0)
    assert np.trace(sum(virial_of(atoms) for atoms in frames)) < -1
    assert np.trace(sum(predicted.virial for predicted in predictions)) > 1
    check_units(frames, predictions)


def test_virials_of_a_model_that_gets_the_forces_wrong_have_no_sign():
    frames, predictions = world(virial_scale=-1)
    check_units(frames, [Prediction(p.energy, -p.forces, p.virial) for p in predictions])


@pytest.mark.parametrize("changes", [{"virial_scale": -1}, {"virial_scale": 1 / units.GPa}])
def test_few_virials_say_nothing(changes):
    check_units(*world(count=FEWEST_VALUES - 1, **changes))


def test_frames_of_as_many_compositions_say_nothing_of_virials():
    frames, predictions = world(count=FEWEST_VALUES, virial_scale=-1)
    mixed = []
    for number, atoms in enumerate(frames):
        alloy = atoms.copy()
        alloy.symbols[:number] = "Ni"
        mixed.append(labelled(alloy, energy_of(atoms), atoms.get_forces(), virial_of(atoms)))
    check_units(mixed, predictions)


def test_frames_without_virials_are_left_out():
    frames, predictions = world()
    for atoms in frames:
        del atoms.info["virial"]
    check_units(frames, predictions)

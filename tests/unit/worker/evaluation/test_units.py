import numpy as np
import pytest
from ase import Atoms, units
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


HARTREE, BOHR = 1 / units.Hartree, 1 / (units.Hartree / units.Bohr)


@pytest.mark.parametrize("noise", [0.9, 1.5])
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"force_scale": BOHR, "energy_scale": HARTREE}, "forces are .* times smaller"),
        ({"force_scale": 51.4, "energy_scale": 27.2}, "forces are .* times as large"),
    ],
)
def test_other_units_are_told_from_a_mediocre_model_too(noise, changes, words):
    frames, predictions = world(count=20, noise=noise, **changes)
    with pytest.raises(StageError, match=words):
        check_units(frames, predictions)


@pytest.mark.parametrize("noise", [0.1, 1.0, 100.0])
def test_forces_that_no_atoms_have_are_refused_whatever_the_model(noise):
    with pytest.raises(StageError, match=r"forces are .* eV/Å in half of the frames"):
        check_units(*world(noise=noise, force_scale=1000))


def test_energies_that_no_atoms_have_are_refused_whatever_the_model():
    with pytest.raises(StageError, match=r"energies scatter by .* eV per atom"):
        check_units(*world(noise=100.0, energy_scale=1000))


def test_five_energies_in_hartree_are_told_where_the_forces_are_right():
    with pytest.raises(StageError, match=r"energies are .* times smaller"):
        check_units(*world(count=5, energy_scale=1 / units.Hartree))


def test_few_energies_say_nothing():
    check_units(*world(count=3, energy_scale=1 / units.Hartree))


def test_close_contacts_that_a_model_overrates_are_no_other_unit():
    frames, predictions = world(count=12)
    for row in range(3):
        close = bulk("Cu", cubic=True).repeat((2, 1, 1))
        close.positions[1] = close.positions[0] + [1.2, 0.0, 0.0]
        force = np.zeros((8, 3))
        force[:2, 0] = -150.0, 150.0
        frames[row] = labelled(close, 60.0, force)
        predictions[row] = Prediction(3000.0, 40 * force, np.zeros((3, 3)))
    check_units(frames, predictions)


@pytest.mark.parametrize("distance", [0.6, 1.0, 2.0, 3.5])
def test_dimers_at_any_distance_are_sound(distance):
    frames, predictions = [], []
    for stretched in np.linspace(0.95, 1.05, 12):
        dimer = Atoms("Cu2", [[0, 0, 0], [distance * stretched, 0, 0]])
        force = 200.0 * np.exp(-2 * distance * stretched) * np.array([[-1.0, 0, 0], [1.0, 0, 0]])
        frames.append(labelled(dimer, 100 * np.exp(-2 * distance * stretched), 5 * force))
        predictions.append(Prediction(30 * np.exp(-2 * distance * stretched), 3 * force, np.zeros((3, 3))))
    check_units(frames, predictions)


@pytest.mark.parametrize("scale", [15.0, 50.0])
def test_hot_atoms_of_which_the_model_knows_nothing_are_sound(scale):
    frames, predictions = world(noise=100.0, force_scale=scale)
    check_units(frames, predictions)


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

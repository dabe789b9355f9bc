import numpy as np
import pytest
from ase import units
from ase.build import bulk
from ase.calculators.emt import EMT

from pfd_worker.errors import StageError
from pfd_worker.evaluation.units import FEWEST_VALUES, check_units
from pfd_worker.frames import labelled
from pfd_worker.models.base import Prediction


def world(count=10, noise=0.1, energy_scale=1.0, force_scale=1.0, zero=0.0, element="Cu"):
    """Return frames labelled by EMT in some unit, and what a model that is 20 % too soft and a bit wrong predicts."""
    rng = np.random.default_rng(4)
    frames, predictions = [], []
    for number in range(count):
        atoms = bulk(element, cubic=True).repeat((2, 1, 1))
        atoms.rattle(0.05 + 0.01 * number, seed=number)
        atoms.calc = EMT()
        energy, forces = atoms.get_potential_energy(), atoms.get_forces()
        wrong = noise * np.std(forces) * rng.normal(size=forces.shape)
        predictions.append(Prediction(0.8 * energy - 100.0, 0.8 * forces + wrong, np.zeros((3, 3))))
        frames.append(labelled(atoms, energy_scale * energy + zero, force_scale * forces, np.zeros((3, 3))))
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
    ],
)
def test_other_units_are_named(changes, words):
    with pytest.raises(StageError, match=words):
        check_units(*world(**changes))


def test_a_model_that_is_hardly_trained_may_be_far_too_soft():
    frames, predictions = world()
    soft = [Prediction(p.energy / 30, p.forces / 30, p.virial) for p in predictions]
    check_units(frames, soft)


def test_a_model_that_knows_nothing_of_the_material_is_no_measure():
    check_units(*world(noise=100.0, energy_scale=1.0, force_scale=1.0))


def test_few_energies_say_nothing():
    check_units(*world(count=FEWEST_VALUES - 1, energy_scale=1 / units.Hartree))

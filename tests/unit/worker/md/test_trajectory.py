import re
import threading

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.calculator import Calculator, SCFError, all_changes
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator

from pfd_operator.contract.exploration import Ensemble
from pfd_operator.contract.tasks import MdTask
from pfd_worker.cells import reference_cell
from pfd_worker.md.dynamics import make_dynamics
from pfd_worker.md.faults import energy_fault
from pfd_worker.md.trajectory import run_trajectory


def task(ensemble=Ensemble.NVT, kelvin=600.0, bar=None, steps=200, every=10, seed=1, timestep=2.0):
    return MdTask(system="cu", stage=0, ensemble=ensemble, temperature_kelvin=kelvin, pressure_bar=bar,
                  timestep_fs=timestep, steps=steps, sample_every=every, replica=0, seed=seed)  # fmt: skip


def run(start, conditions, calculator=None, stopping=None):
    return run_trajectory(
        start, calculator or EMT(), conditions, "t", 0.6, stopping or threading.Event(), lambda step: None
    )


@pytest.fixture
def copper() -> Atoms:
    return bulk("Cu", cubic=True)


@pytest.mark.parametrize(("ensemble", "bar"), [(Ensemble.NVE, None), (Ensemble.NVT, None), (Ensemble.NPT, 1.0)])
def test_frames_come_at_the_asked_steps_with_their_origin_and_the_same_seed_gives_the_same(copper, ensemble, bar):
    first = run(copper, task(ensemble, bar=bar, steps=105, every=25))
    assert (first.steps_done, first.exploded_at_step) == (105, None)
    assert [atoms.info["step"] for atoms in first.frames] == [25, 50, 75, 100]
    info = first.frames[0].info
    assert (info["system"], info["trajectory"]) == ("cu", "t")
    assert info["stratum"] == ("cu/600K" if bar is None else "cu/600K/1bar")
    again = run(copper, task(ensemble, bar=bar, steps=105, every=25))
    np.testing.assert_array_equal(first.frames[-1].positions, again.frames[-1].positions)
    other = run(copper, task(ensemble, bar=bar, steps=105, every=25, seed=2))
    assert np.abs(first.frames[-1].positions - other.frames[-1].positions).max() > 1e-3


def test_model_energy_is_that_of_the_frame(copper):
    frame = run(copper, task()).frames[-1]
    energy = frame.info["potential_energy"]
    frame.calc = EMT()
    assert frame.get_potential_energy() == pytest.approx(energy, abs=1e-8)


def test_nve_conserves_energy(copper):
    atoms = copper.repeat(2)
    atoms.calc = EMT()
    dynamics = make_dynamics(atoms, task(Ensemble.NVE), Ensemble.NVE)
    before = atoms.get_total_energy()
    dynamics.run(200)
    assert abs(atoms.get_total_energy() - before) / len(atoms) < 1e-3


def test_nvt_reaches_its_temperature(copper):
    atoms = copper.repeat((2, 2, 1))
    atoms.calc = EMT()
    dynamics = make_dynamics(atoms, task(kelvin=500, timestep=4.0), Ensemble.NVT)
    kelvin = []
    dynamics.attach(lambda: kelvin.append(atoms.get_temperature()), interval=5)
    dynamics.run(800)
    assert np.mean(kelvin[40:]) == pytest.approx(500, rel=0.15)


def test_frames_keep_the_cell_of_the_given_structure_when_their_own_changes(copper):
    given = copper.cell.array.copy()
    copper.info["reference_cell"] = given
    copper.set_cell(1.02 * given, scale_atoms=True)
    frames = run(copper, task(Ensemble.NPT, bar=1.0, steps=20)).frames
    assert not np.allclose(frames[-1].cell.array, frames[0].cell.array, rtol=1e-6)
    assert all((reference_cell(atoms) == given).all() for atoms in frames)


def test_npt_reaches_its_pressure_with_a_fluctuating_cell(copper):
    atoms = copper
    volume = atoms.get_volume()
    atoms.calc = EMT()
    dynamics = make_dynamics(atoms, task(Ensemble.NPT, kelvin=300, bar=100_000.0, timestep=4.0), Ensemble.NPT)
    pressures, cells = [], []

    def note():
        pressures.append(-atoms.get_stress(include_ideal_gas=True)[:3].mean() / units.bar)
        cells.append(atoms.cell.array.copy())

    dynamics.attach(note, interval=5)
    dynamics.run(600)
    assert np.mean(pressures[40:]) == pytest.approx(100_000, rel=0.3)
    assert np.std(cells, axis=0).max() > 0.01
    assert atoms.get_volume() < volume


def test_frames_know_the_temperature_and_pressure_that_md_had(copper):
    outcome = run(copper.repeat(2), task(Ensemble.NPT, kelvin=600, bar=1.0, steps=300, every=20, timestep=5.0))
    assert outcome.mean("measured_kelvin") == pytest.approx(600, rel=0.25)
    frame = outcome.frames[-1]
    frame.calc = EMT()
    potential = -frame.get_stress()[:3].mean() / units.bar
    gas = len(frame) * units.kB * frame.info["measured_kelvin"] / frame.get_volume() / units.bar
    assert frame.info["measured_bar"] == pytest.approx(potential + gas, rel=1e-6)
    assert run(copper, task(steps=20)).mean("measured_bar") is None


def test_a_start_begins_colder_than_it_is_asked_to_be(copper):
    outcome = run(copper.repeat(3), task(kelvin=1000, steps=60, every=2, timestep=2.0))
    assert outcome.frames[0].info["measured_kelvin"] > 800, "velocities are drawn at the temperature"
    assert outcome.mean("measured_kelvin") < 800, "half of them goes into the potential energy first"


def test_the_first_steps_are_no_candidates_unless_the_trajectory_explodes(copper):
    sound = run(copper, task(steps=100, every=10))
    sound.drop_equilibration(50)
    assert [frame.info["step"] for frame in sound.frames] == [60, 70, 80, 90, 100]
    exploded = run(copper, task(steps=2000, every=2), Breaks())
    before = list(exploded.frames)
    exploded.drop_equilibration(4)
    assert exploded.frames == before
    assert [frame.info["heating"] for frame in before] == [True, True] + [False] * (len(before) - 2)
    assert exploded.mean("measured_kelvin") == np.mean([frame.info["measured_kelvin"] for frame in before[2:-1]])
    exploded.drop_equilibration(2000)
    assert exploded.frames == before and exploded.mean("measured_kelvin") is None


def test_constant_pressure_leaves_the_vacuum_of_a_slab_open(copper):
    copper.info["slab"] = True
    frames = run(copper, task(Ensemble.NPT, bar=1.0, steps=20)).frames
    np.testing.assert_array_equal(frames[-1].cell.array, copper.cell.array)


class Attraction(Calculator):
    """A model with a hole: all atoms fall into one point."""

    implemented_properties = ["energy", "forces", "stress"]

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        centre = self.atoms.positions - self.atoms.positions.mean(axis=0)
        self.results = {"energy": 2.5 * np.sum(centre**2), "forces": -5 * centre, "stress": np.zeros(6)}


class Breaks(EMT):
    """NaN once the atoms have moved far enough."""

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        if np.abs(self.atoms.positions - bulk("Cu", cubic=True).positions).max() > 0.08:
            self.results["energy"] = self.results["free_energy"] = float("nan")
            self.results["forces"] = np.full((4, 3), np.nan)


@pytest.mark.parametrize(
    ("calculator", "word"), [(Attraction(), "apart|temperature|energy"), (Breaks(), "not numbers|integrator")]
)
@pytest.mark.parametrize("ensemble", list(Ensemble))
def test_an_explosion_ends_the_trajectory_early_and_says_when_and_why(copper, calculator, word, ensemble):
    conditions = task(ensemble, kelvin=1000, steps=2000, bar=1.0 if ensemble is Ensemble.NPT else None)
    outcome = run(copper, conditions, calculator)
    assert outcome.exploded_at_step is not None and 0 < outcome.exploded_at_step < 2000
    assert re.search(word, str(outcome.reason))
    assert all(atoms.info["step"] < outcome.exploded_at_step for atoms in outcome.frames)
    # every check is a sample here
    assert [atoms.info["brink"] for atoms in outcome.frames] == [False] * (len(outcome.frames) - 1) + [True]


class Sinks(EMT):
    """Its energies fall for no reason that forces tell of, by so much an evaluation."""

    ev_per_atom = 0.1
    sunk = -1000.0

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.sunk -= self.ev_per_atom * len(self.atoms)
        self.results["energy"] += self.sunk


class Kicks(EMT):
    """One atom of many feels a force, from an evaluation on, that is of no consequence for the mean of all."""

    left = 25

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.left -= 1
        if self.left < 0:
            self.results["forces"][7] = (0.0, 0.0, 120.0)


def test_a_trajectory_ends_where_one_atom_of_many_has_fallen_into_a_hole(copper):
    outcome = run(copper.repeat(4), task(steps=60), Kicks())
    assert outcome.exploded_at_step == 30
    assert re.fullmatch(r"the force on atom 7 \(Cu\) is 120 eV/Å, above 100: .*", outcome.reason)


def test_a_trajectory_ends_where_its_energy_has_left_that_of_its_own_start(copper):
    outcome = run(copper, task(kelvin=600), Sinks())
    assert outcome.exploded_at_step == 40
    assert outcome.reason == "the energy is -4.0 eV per atom from that of its start, more than 3.1"
    assert [(atoms.info["step"], atoms.info["brink"]) for atoms in outcome.frames] == [
        (10, False), (20, False), (30, True),
    ]  # fmt: skip


def test_a_hot_trajectory_may_take_up_what_is_thermal(copper):
    class Rises(Sinks):
        ev_per_atom = -0.1

    ends = [run(copper, task(kelvin=kelvin, steps=40, timestep=0.1), Rises()) for kelvin in (600, 10000)]
    assert [outcome.exploded_at_step for outcome in ends] == [40, None]


def test_work_of_the_pressure_is_no_explosion(copper):
    outcome = run(copper, task(Ensemble.NPT, kelvin=300, bar=1e6, steps=300))
    assert outcome.reason is None and outcome.frames[-1].get_volume() < 0.6 * copper.get_volume()
    fallen = run(copper, task(Ensemble.NPT, kelvin=300, bar=1.0), Sinks())
    assert fallen.exploded_at_step == 40, "there is no work to speak of at ambient pressure"


@pytest.mark.parametrize(("deviation", "fault"), [(5.0, False), (9.0, True), (-4.0, True)])
def test_pressure_that_compresses_raises_the_energy_and_lowers_none(copper, deviation, fault):
    shrunk = copper.copy()
    shrunk.set_cell(copper.cell * 0.5 ** (1 / 3), scale_atoms=True)
    shrunk.calc = SinglePointCalculator(shrunk, energy=deviation * len(shrunk))
    said = energy_fault(shrunk, 0.0, task(Ensemble.NPT, kelvin=300, bar=1e6), copper)
    assert (said is not None) is fault, "3.7 eV per atom of work"


def test_the_last_sound_frame_is_kept_though_it_is_no_sample(copper):
    outcome = run(copper, task(steps=2000, every=1000), Breaks())
    (frame,) = outcome.frames
    assert frame.info["brink"] and frame.info["step"] == outcome.exploded_at_step - 20
    assert np.abs(frame.positions - copper.positions).max() < 0.08


def test_a_start_that_overlaps_explodes_at_step_0(copper):
    copper.positions[1] = copper.positions[0] + [0.3, 0, 0]
    outcome = run(copper, task())
    assert (outcome.exploded_at_step, outcome.frames) == (0, [])


@pytest.mark.parametrize(("calls", "step"), [(0, 0), (30, 30)])
def test_a_calculator_that_gives_up_ends_its_trajectory_only(copper, calls, step):
    class GivesUp(EMT):
        left = calls

        def calculate(self, *given, **named):
            if not self.left:
                raise SCFError("SCF not converged\nin 250 cycles")
            self.left -= 1
            super().calculate(*given, **named)

    outcome = run(copper, task(), GivesUp())
    assert (outcome.exploded_at_step, outcome.steps_done) == (step, step)
    assert outcome.reason == "the calculator failed: SCF not converged in 250 cycles"
    assert [atoms.info["brink"] for atoms in outcome.frames] == ([False, True] if step else [])


def test_stopping_ends_at_the_next_check(copper):
    stopping = threading.Event()
    stopping.set()
    assert run(copper, task(steps=10**6), stopping=stopping).steps_done == 0

import threading
import weakref
from dataclasses import replace

import numpy as np
import pytest
from ase import units
from ase.build import bulk, molecule
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT

from pfd_operator.contract.exploration import Barostat, Ensemble, Exploration
from pfd_worker.acceptance.stability import density, measure_stability
from pfd_worker.md.conditions import Conditions, extreme_conditions, hottest_conditions
from pfd_worker.md.drift import measure_nve_drift
from pfd_worker.selection.pair_distances import shortest_distances


class Springs(Calculator):
    """Every atom on a spring of its own (5 eV/Å²); a push along the velocities makes the forces no gradient."""

    implemented_properties = ["energy", "forces", "stress"]

    def __init__(self, sites, push=0.0):
        super().__init__()
        self.sites, self.push = sites, push

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        apart = self.atoms.positions - self.sites
        apart -= np.linalg.solve(self.atoms.cell.T, apart.T).T.round() @ self.atoms.cell
        forces = -5 * apart + self.push * self.atoms.get_velocities()
        self.results = {"energy": 2.5 * np.sum(apart**2), "forces": forces, "stress": np.zeros(6)}


class Collapses(EMT):
    """EMT until an atom has moved far enough, then everything falls into one point."""

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        centre = self.atoms.positions - self.atoms.positions.mean(axis=0)
        if np.abs(self.atoms.positions - bulk("Cu", cubic=True).positions).max() > 0.3:
            self.results["forces"] = -20 * centre


@pytest.fixture
def copper():
    return bulk("Cu", cubic=True)


def drift(start, calculator, picoseconds=1.0, timestep_fs=2.0, stopping=None, **more):
    return measure_nve_drift(
        start, calculator, 300.0, picoseconds, timestep_fs, 5, stopping or threading.Event(), **more
    )


def test_harmonic_atoms_keep_their_energy(copper):
    seen = []
    measured = drift(copper, Springs(copper.positions.copy()), timestep_fs=1.0, on_step=seen.append)
    assert measured.picoseconds == pytest.approx(1.0)
    assert measured.drift == pytest.approx(0.0, abs=0.05)
    assert measured.max_deviation is not None and measured.max_deviation < 0.2
    assert measured.mean_temperature_kelvin is not None and 50 < measured.mean_temperature_kelvin < 900
    assert (measured.exploded_at_step, measured.reason) == (None, None)
    assert seen == list(range(10, 1001, 10))


def test_a_long_cell_is_no_explosion(copper):
    copper.set_cell([3.61, 3.61, 90])
    measured = drift(copper, Springs(copper.positions.copy()), picoseconds=0.1)
    assert (measured.exploded_at_step, measured.reason) == (None, None)


def test_the_drift_is_the_work_that_forces_do_which_are_no_gradient(copper):
    for push in (0.02, -0.02):
        measured = drift(copper, Springs(copper.positions.copy(), push), picoseconds=0.5)
        assert measured.mean_temperature_kelvin is not None
        kinetic = 1.5 * units.kB * measured.mean_temperature_kelvin
        ev_per_ps = 2 * push * kinetic / copper.get_masses()[0] * 1000 * units.fs  # push·v² for each atom
        assert measured.drift == pytest.approx(1000 * ev_per_ps, rel=0.2)
        assert abs(1000 * ev_per_ps) > 1.0


def test_an_explosion_at_constant_energy_has_its_step_and_reason(copper):
    measured = drift(copper, Collapses(), picoseconds=20)
    assert measured.drift is None and measured.exploded_at_step is not None
    assert measured.reason


def test_an_unusable_start_explodes_in_equilibration(copper):
    copper.positions[1] = copper.positions[0] + [0.3, 0, 0]
    measured = drift(copper, EMT())
    assert (measured.exploded_at_step, measured.picoseconds) == (0, 0.0)
    assert "in equilibration at step 0: atoms 0 (Cu) and 1 (Cu)" in str(measured.reason)


def test_a_run_too_short_for_a_line_says_so(copper):
    measured = drift(copper, EMT(), picoseconds=0.01)
    assert measured.drift is None and "too few" in str(measured.reason) and measured.exploded_at_step is None


def test_stopping_ends_constant_energy_early(copper):
    stopping = threading.Event()

    def stop_at(step):
        if step >= 50:
            stopping.set()

    measured = drift(copper, Springs(copper.positions.copy()), picoseconds=10, stopping=stopping, on_step=stop_at)
    assert measured.picoseconds == pytest.approx(0.1)
    stopping.set()
    assert drift(copper, EMT(), stopping=stopping).reason == "stopped during equilibration"


AIR = Conditions(Ensemble.NPT, 300.0, 4.0, 1.0, Barostat.ISOTROPIC)
STRETCHED = Conditions(Ensemble.NVT, 300.0, 4.0)


def stable(start, calculator, picoseconds=0.4, stopping=None, conditions=AIR, **told):
    return measure_stability(start, calculator, conditions, picoseconds, 5, stopping or threading.Event(), **told)


def test_copper_lasts_and_breathes_about_its_density(copper):
    seen, frames = [], []
    record = stable(copper, EMT(), on_step=seen.append, on_frame=frames.append)
    assert (record.ensemble, record.picoseconds, record.exploded_at_step) == (Ensemble.NPT, pytest.approx(0.4), None)
    assert record.density_min < record.density_mean < record.density_max
    assert record.density_mean == pytest.approx(np.mean([density(atoms) for atoms in (copper, *frames)]))
    assert record.density_min > 7.5 and record.density_max < 10.5
    assert len(frames) == 8 and seen[-1] == 100


def test_frames_of_a_long_run_do_not_fill_the_memory(copper):
    frames, held = [], []

    def count(atoms):
        frames.append(weakref.ref(atoms))
        held.append(sum(frame() is not None for frame in frames))

    stable(copper, Springs(copper.positions.copy()), picoseconds=5, conditions=STRETCHED, on_frame=count)
    assert len(frames) == 1250 // 12 and max(held) <= 3


@pytest.mark.parametrize(("picoseconds", "timestep_fs", "steps"), [(0.2, 1.5, 134), (0.3, 0.1, 3000), (0.006, 2.0, 3)])
def test_md_that_came_to_its_end_lasted_as_long_as_was_asked(copper, picoseconds, timestep_fs, steps):
    assert Conditions(Ensemble.NVT, 300.0, timestep_fs).task(picoseconds, seed=1).steps == steps
    springs = Springs(copper.positions.copy())
    record = stable(copper, springs, picoseconds, conditions=replace(AIR, timestep_fs=timestep_fs))
    assert record.picoseconds == record.asked_picoseconds == picoseconds


class Expands(Springs):
    """Springs in a cell that any pressure below 10 GPa lets grow."""

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.results["stress"] = -10 * units.GPa * np.array([1, 1, 1, 0, 0, 0])


def test_what_explored_at_constant_volume_is_judged_at_it(copper):
    squeezed = stable(copper, Expands(copper.positions.copy()), picoseconds=4)
    assert "volume" in str(squeezed.reason)
    frames = []
    springs = Expands(copper.positions.copy())
    kept = stable(copper, springs, picoseconds=4, conditions=STRETCHED, on_frame=frames.append)
    assert (kept.reason, kept.pressure_bar, kept.barostat) == (None, None, None)
    assert frames[-1].get_volume() == pytest.approx(copper.get_volume())


@pytest.mark.parametrize(("barostat", "sheared"), [(Barostat.ISOTROPIC, False), (Barostat.FLEXIBLE, True)])
def test_a_flexible_cell_is_judged_as_one(copper, barostat, sheared):
    frames = []
    record = stable(copper, EMT(), conditions=replace(AIR, barostat=barostat), on_frame=frames.append)
    assert record.barostat is barostat
    assert (np.abs(frames[-1].cell.angles() - 90).max() > 0.01) == sheared


@pytest.mark.parametrize(
    ("stages", "expected"),
    [
        ([{"ensemble": "NVT", "temperaturesKelvin": [300, 3000]}], Conditions(Ensemble.NVT, 3000, 2.0)),
        ([{"ensemble": "NVE", "temperaturesKelvin": [300]}], Conditions(Ensemble.NVT, 300, 2.0)),
        (
            [
                {"ensemble": "NVT", "temperaturesKelvin": [300]},
                {"temperaturesKelvin": [400, 600], "pressuresBar": [5, 9], "barostat": "Flexible", "timestepFs": 1},
            ],
            Conditions(Ensemble.NPT, 600, 1.0, 5, Barostat.FLEXIBLE),
        ),
    ],
    ids=["volume", "energy", "the hottest stage"],
)
def test_the_hottest_conditions_are_those_of_their_stage(stages, expected):
    assert hottest_conditions(Exploration.model_validate({"stages": stages}).stages) == expected


def npt(kelvin, bar):
    return Conditions(Ensemble.NPT, kelvin, 2.0, bar, Barostat.ISOTROPIC)


@pytest.mark.parametrize(
    ("stages", "expected"),
    [
        ([{"ensemble": "NVT", "temperaturesKelvin": [300, 3000]}], [Conditions(Ensemble.NVT, 3000, 2.0)]),
        ([{"temperaturesKelvin": [300, 900]}], [npt(900, 1)]),
        ([{"temperaturesKelvin": [300, 900], "pressuresBar": [5, 1, 9]}], [npt(900, 1), npt(900, 9)]),
        (
            [
                {"temperaturesKelvin": [300], "pressuresBar": [1, 1e5]},
                {"temperaturesKelvin": [600, 400], "pressuresBar": [1, 1000]},
                {"ensemble": "NVT", "temperaturesKelvin": [3000]},
            ],
            [Conditions(Ensemble.NVT, 3000, 2.0), npt(600, 1), npt(300, 1e5)],
        ),
    ],
    ids=["volume", "one pressure", "pressures", "stages"],
)
def test_extreme_conditions_are_the_hottest_and_both_ends_of_the_pressure(stages, expected):
    assert extreme_conditions(Exploration.model_validate({"stages": stages}).stages) == expected


@pytest.mark.parametrize(("pumped", "met"), [(0.0, True), (0.4, False), (-0.6, False)])
def test_md_that_is_not_at_its_temperature_is_none_however_long_it_lasts(copper, pumped, met):
    """A push of this part of the thermostat's friction; the temperature is then T/(1 - pumped)."""
    start = copper.repeat(2)
    push = pumped * start.get_masses()[0] / (100 * units.fs)
    record = stable(start, Springs(start.positions.copy(), push), 3, conditions=STRETCHED)
    assert record.mean_temperature_kelvin == pytest.approx(300 / (1 - pumped), rel=0.15)
    assert (record.picoseconds, record.reason is None) == ((3, True) if met else (0.0, False))
    assert met or f"its mean temperature was {record.mean_temperature_kelvin:.0f} K" in record.reason
    assert record.exploded_at_step is None


def test_a_run_of_a_few_thermostat_times_has_no_mean_temperature(copper):
    springs = Springs(copper.positions.copy(), push=0.4 * copper.get_masses()[0] / (100 * units.fs))
    record = stable(copper, springs, 0.8, conditions=STRETCHED)
    assert (record.mean_temperature_kelvin, record.reason, record.picoseconds) == (None, None, 0.8)


def test_a_pair_that_the_teacher_keeps_apart_ends_what_counts(copper):
    teacher = {elements: 0.95 * distance for elements, distance in shortest_distances([copper]).items()}
    springs = Springs(copper.positions.copy())
    assert stable(copper, springs, 0.4, conditions=STRETCHED, shortest=teacher).reason is None
    near = {elements: 1.4 * distance for elements, distance in teacher.items()}
    record = stable(copper, springs, 0.4, conditions=STRETCHED, shortest=near)
    assert record.reason is not None and record.reason.startswith("Cu-Cu are 2.")
    assert record.picoseconds == pytest.approx(record.exploded_at_step * 0.004) == pytest.approx(0.048)


def test_an_explosion_in_the_last_step_came_before_the_end(copper):
    exploded = stable(copper, Collapses(), picoseconds=40)
    asked = exploded.exploded_at_step * 0.004
    record = stable(copper, Collapses(), picoseconds=asked)
    assert record.reason and record.picoseconds < asked


def test_density_is_in_grams_per_cubic_centimetre(copper):
    assert density(copper) == pytest.approx(4 * 63.546 * 1.66053907 / 3.61**3, rel=1e-5)


def test_an_explosion_is_told_with_step_reason_and_the_time_before_it(copper):
    record = stable(copper, Collapses(), picoseconds=40)
    assert record.exploded_at_step is not None and record.reason
    assert record.picoseconds == pytest.approx(record.exploded_at_step * 0.004)
    assert record.picoseconds < record.asked_picoseconds == 40


def test_a_molecule_has_no_pressure_and_no_density():
    water = molecule("CO")
    record = stable(water, EMT(), picoseconds=0.04)
    assert (record.ensemble, record.pressure_bar, record.density_mean) == (Ensemble.NVT, None, None)


def test_stopping_ends_the_run_without_an_explosion(copper):
    stopping = threading.Event()
    record = stable(copper, EMT(), picoseconds=40, stopping=stopping, on_step=lambda step: stopping.set())
    assert record.picoseconds < 1 and record.exploded_at_step is None and record.reason is None

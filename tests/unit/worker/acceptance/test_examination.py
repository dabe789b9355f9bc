"""All measurements of one student, with a calculator as teacher and as student."""

import threading

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.calculator import Calculator, SCFError, all_changes

from pfd_operator.contract.distill import Acceptance
from pfd_operator.contract.exploration import Exploration
from pfd_operator.contract.result import ExitCode, Reason
from pfd_operator.contract.tasks import stages_of_systems
from pfd_worker.acceptance.dft import NO_DFT, DftFrames
from pfd_worker.acceptance.examination import Examination
from pfd_worker.acceptance.json_form import as_json
from pfd_worker.acceptance.stability import measure_stability
from pfd_worker.acceptance.verdict import judge
from pfd_worker.errors import StageError
from pfd_worker.frames import labelled
from pfd_worker.models.calculator import CalculatorModel

ASKED = {"forceRMSE": 0.1, "sizes": [4], "stableMDPicoseconds": 0.05}


def crystal(element="Cu"):
    atoms = bulk(element, cubic=True)
    atoms.rattle(0.05, seed=3)
    return atoms


class Einstein(Calculator):
    """Every atom on a spring (5 eV/Å²) to where it was first seen, in a cell with a bulk modulus: quick and stable."""

    implemented_properties = ["energy", "forces", "stress"]
    numbers = None

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        if not np.array_equal(self.numbers, self.atoms.numbers):
            self.numbers, self.volume = self.atoms.numbers.copy(), self.atoms.get_volume()
            self.sites = self.atoms.get_scaled_positions(wrap=False)
        apart = self.atoms.get_scaled_positions(wrap=False) - self.sites
        apart = (apart - apart.round()) @ self.atoms.cell.array
        strain = np.log(self.atoms.get_volume() / self.volume)
        energy = 2.5 * np.sum(apart**2) + 0.25 * self.volume * strain**2
        self.results = {"energy": energy, "forces": -5 * apart, "stress": 0.5 * strain * np.array([1, 1, 1, 0, 0, 0])}


class Falls(Einstein):
    """Aluminium falls into one point."""

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        if self.atoms.numbers[0] == 13:
            self.results["forces"] = -20 * (self.atoms.positions - self.atoms.positions.mean(axis=0))


class Expands(Einstein):
    """At constant pressure the cell grows without end, as that of a melt of low density shrinks."""

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.results["stress"] = -0.2 * np.array([1, 1, 1, 0, 0, 0])


def holdout():
    atoms = crystal()
    predicted = CalculatorModel(Einstein).predict([atoms])[0]
    return [labelled(atoms, predicted.energy, predicted.forces, predicted.virial)]


def examination(
    stopping=None, progress=lambda percent, words: None, student=Einstein, teacher=Einstein, structures=None,
    stages=({},), **asked,
):  # fmt: skip
    structures = structures or {"copper": crystal()}
    given = [{"temperaturesKelvin": [300], "timestepFs": 4} | stage for stage in stages]
    return Examination(
        teacher=CalculatorModel(teacher),
        student=CalculatorModel(student),
        structures=structures,
        acceptance=Acceptance.model_validate(ASKED | asked),
        stages=stages_of_systems(structures, Exploration.model_validate({"stages": given})),
        seed=5,
        stopping=stopping or threading.Event(),
        progress=progress,
    )


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr("pfd_worker.acceptance.dynamics.MD_ATOMS", 32)
    monkeypatch.setattr("pfd_worker.acceptance.dynamics.RDF_PICOSECONDS", 0.4)


@pytest.mark.parametrize(
    ("words", "asked"), [("constant energy", {}), ("structure", {"rdfOverlap": 0.5})], ids=["drift", "structure"]
)
def test_a_stop_in_the_last_measurement_is_no_verdict(words, asked):
    stopping = threading.Event()

    def stop_in_it(percent, message):
        if words in message:
            stopping.set()

    with pytest.raises(StageError) as caught:
        examination(stopping, stop_in_it, **asked).run(holdout())
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.PREEMPTED, Reason.PREEMPTED)


def verdict(examined, dft=NO_DFT):
    return checks_of(examined, examined.run(holdout(), dft))


def checks_of(examined, results):
    return {check.name: check for check in judge(examined.acceptance, results)}


LIMITS = {"stableMDPicoseconds": 0.2, "rdfOverlap": 0.1, "nveDriftMeVPerAtomPs": 1e6}


def test_every_system_is_run_and_its_words_name_it():
    told = []
    structures = {"copper": crystal(), "silver": crystal("Ag")}
    examined = examination(
        progress=lambda percent, words: told.append((percent, words)), structures=structures, **LIMITS
    )
    results = examined.run(holdout())
    checks = checks_of(examined, results)
    assert all(check.met for check in checks.values())
    assert "of 2 systems" in checks["StablePicoseconds"].message
    assert [percent for percent, _ in told] == sorted(percent for percent, _ in told)
    own = results.rdf_overlap_of_teacher
    assert set(own) == {"copper", "silver"} and all(0.1 < overlap < 1 for overlap in own.values())
    words = [f"(two parts of the teacher's own MD overlap by {overlap:.4g})" for overlap in own.values()]
    assert any(each in checks["RdfOverlap"].message for each in words)
    assert results.speed_system == "copper"
    # acceptance.json is this: programs read it by these names
    assert tuple(as_json(results)) == (
        "errors", "dftFiles", "dftForceRatioError", "speed", "speedSystem", "nveDrift", "stability", "rdfOverlap",
        "rdfOverlapOfTeacher", "missing",
    )  # fmt: skip
    for measured in (results.stability, results.nve_drift, results.rdf_overlap):
        assert set(measured) == {"copper", "silver"}


def test_every_system_is_run_at_its_own_conditions():
    structures = {"copper": crystal(), "silver": crystal("Ag")}
    stages = [
        {"systems": ["silver"], "ensemble": "NVT", "temperaturesKelvin": [900], "timestepFs": 1},
        {"systems": ["copper"]},
    ]
    results = examination(structures=structures, stages=stages, **LIMITS).run(holdout())
    runs = {
        system: [(run.temperature_kelvin, run.pressure_bar) for run in results.stability[system]]
        for system in structures
    }
    assert runs == {"copper": [(300, 1)], "silver": [(900, None)]}
    cold, hot = (results.nve_drift[system].mean_temperature_kelvin for system in structures)
    assert cold < 500 and hot > 600


def test_a_student_that_fails_in_its_second_system_is_refused():
    structures = {"copper": crystal(), "aluminium": crystal("Al")}
    checks = verdict(examination(student=Falls, structures=structures, **LIMITS))
    stable = checks["StablePicoseconds"]
    assert not stable.met and stable.value is not None and stable.value < 0.2
    assert "of aluminium, the shortest of 2 systems" in stable.message
    for name in ("NveDrift", "RdfOverlap"):
        assert not checks[name].met and "not measured, aluminium: " in checks[name].message


def test_the_shortest_run_at_all_extreme_conditions_counts():
    stage = {"pressuresBar": [-60000, 1]}
    examined = examination(student=Expands, stages=[stage], **LIMITS | {"stableMDPicoseconds": 2})
    results = examined.run(holdout())
    check = checks_of(examined, results)["StablePicoseconds"]
    runs = results.stability["copper"]
    assert [run.pressure_bar for run in runs] == [-60000, 1]
    assert not check.met and check.value == min(run.picoseconds for run in runs) < 2
    shortest = min(runs, key=lambda run: run.picoseconds)
    assert f"(at 300 K, {shortest.pressure_bar:g} bar: the volume went from" in check.message
    # a slab keeps its cell, whatever the pressure
    slab = crystal()
    slab.info["slab"] = True
    results = examination(structures={"slab": slab}, stages=[stage], **LIMITS).run(holdout())
    assert [run.pressure_bar for run in results.stability["slab"]] == [None]


def test_drift_and_structure_are_measured_where_it_is_hot(monkeypatch):
    kelvin = []

    def noted(start, calculator, conditions, *given, **named):
        kelvin.append(conditions.temperature_kelvin)
        return measure_stability(start, calculator, conditions, *given, **named)

    monkeypatch.setattr("pfd_worker.acceptance.dynamics.measure_stability", noted)
    stage = {"ensemble": "NVT", "temperaturesKelvin": [300, 900]}
    results = examination(stages=[stage], **LIMITS).run(holdout())
    assert 600 < results.nve_drift["copper"].mean_temperature_kelvin < 1100
    assert results.rdf_overlap and kelvin == [900, 900, 900]


def test_pairs_closer_than_in_the_teachers_hold_out_end_what_is_stable():
    dense, ours = crystal(), holdout()
    dense.set_cell(0.8 * dense.cell.array, scale_atoms=True)
    examined = examination(student=Einstein, structures={"copper": dense}, stages=[{"ensemble": "NVT"}], **LIMITS)
    checks = judge(examined.acceptance, examined.run(ours))
    (stable,) = [check for check in checks if check.name == "StablePicoseconds"]
    assert not stable.met and "Cu-Cu are 1." in stable.message


def test_the_ratio_of_errors_against_dft_is_told_with_its_scatter():
    class Softer(Einstein):
        def calculate(self, *given, **named):
            super().calculate(*given, **named)
            self.results["forces"] = 0.5 * self.results["forces"]

    frames = []
    for number, force in enumerate((0.1, 0.3, 0.5)):
        atoms = bulk("Cu", cubic=True)
        atoms.rattle(0.05, seed=number)
        atoms.info["trajectory"] = f"t{number}"
        frames.append(labelled(atoms, 0.0, np.full((4, 3), force), np.zeros((3, 3))))
    checks = verdict(examination(teacher=Softer, dftForceRatio=1.5), DftFrames(frames))
    assert "; standard error over 3 trajectories 0." in checks["ForceRmseAgainstDftOverTeacher"].message


def test_a_dft_frame_that_the_teacher_does_not_converge_for_is_named_and_not_tried_again():
    class Fails(Einstein):
        def calculate(self, atoms=None, *given, **named):
            super().calculate(atoms, *given, **named)
            if self.atoms.info.get("hard"):
                raise SCFError("no convergence in 250 cycles")

    frames = []
    for number in range(4):
        atoms = bulk("Cu", cubic=True)
        atoms.rattle(0.05, seed=number)
        atoms.info = {"stratum": "data", "trajectory": "spec.acceptance.dftData[0]", "hard": number == 2}
        frames.append(labelled(atoms, float(number), np.zeros((4, 3))))
    with pytest.raises(StageError) as caught:
        verdict(examination(teacher=Fails), DftFrames(frames, files={"s3://pfd/dft.extxyz": "0"}))
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.USER_ERROR, Reason.DATA_INVALID)
    assert "spec.acceptance.dftData[0]: the model cannot predict" in caught.value.message
    assert "Cu4 with energy 2.000000 eV: SCFError: no convergence in 250 cycles" in caught.value.message


def test_speed_is_measured_on_a_crystal_if_there_is_one():
    cluster = crystal()
    cluster.pbc = False
    assert examination(structures={"cluster": cluster, "copper": crystal()}, **LIMITS).speed_system == "copper"
    assert examination(structures={"cluster": cluster}, **LIMITS).speed_system == "cluster"


def test_structure_is_compared_where_there_is_a_density():
    cluster = crystal()
    cluster.pbc = False
    check = verdict(examination(structures={"cluster": cluster, "copper": crystal()}, **LIMITS))["RdfOverlap"]
    assert check.met and "Cu-Cu of copper" in check.message
    alone = verdict(examination(structures={"cluster": cluster}, **LIMITS))["RdfOverlap"]
    assert not alone.met and "no system is periodic in all directions" in alone.message


@pytest.mark.parametrize(
    "stage", [{"ensemble": "NVT"}, {"ensemble": "NVE"}, {"ensemble": "NPT"}], ids=lambda s: s["ensemble"]
)
def test_md_of_the_acceptance_has_the_ensemble_of_the_exploration(stage):
    limits = LIMITS | {"stableMDPicoseconds": 2}
    checks = verdict(examination(student=Expands, teacher=Expands, stages=[stage], **limits))
    constant_volume = stage["ensemble"] != "NPT"
    assert checks["StablePicoseconds"].met == checks["RdfOverlap"].met == constant_volume

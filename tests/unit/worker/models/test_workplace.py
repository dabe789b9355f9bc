"""Calculators of programs: what one calculation leaves is no result, and no start, of the next."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator, FileIOCalculator, SCFError
from ase.calculators.emt import EMT
from ase.calculators.genericfileio import CalculatorTemplate, GenericFileIOCalculator

from pfd_operator.contract.result import ExitCode
from pfd_worker.errors import StageError
from pfd_worker.labelers.in_process import AseLabeler
from pfd_worker.labelers.task import AimdSettings, Calculation
from pfd_worker.models.calculator import CalculatorModel
from pfd_worker.models.one_by_one import predictions_or_errors
from pfd_worker.models.workplace import Workplace

# a site's wrapper, whose last line succeeds whatever has become of the program before it
PROGRAM = """#!/bin/sh
if [ -e RESTART ]; then touch {log}/restarted; fi
touch RESTART
echo run >> {log}/runs
if [ "$(wc -l < {log}/runs)" -le {good} ]; then cat ENERGY > RESULTS; fi
exit 0
"""


class Program(FileIOCalculator):
    """Energies from a program that ASE starts in `directory`, and reads there."""

    name = "program"
    implemented_properties = ["energy", "forces"]

    def write_input(self, atoms, properties=None, system_changes=None):
        super().write_input(atoms, properties, system_changes)
        (Path(self.directory) / "ENERGY").write_text(str(atoms.positions.sum()))

    def read_results(self):
        energy = float((Path(self.directory) / "RESULTS").read_text())
        self.results = {"energy": energy, "forces": np.zeros((len(self.atoms), 3))}


class Newer(CalculatorTemplate):
    """Of ASE's newer calculators of programs, whose `directory` is a Path."""

    def __init__(self):
        super().__init__("newer", ["energy", "forces"])

    def write_input(self, profile, directory, atoms, parameters, properties):
        self.atoms = len(atoms)
        (directory / "ENERGY").write_text(str(atoms.positions.sum()))

    def execute(self, directory, profile):
        (directory / "ENERGY").rename(directory / "RESULTS")

    def read_results(self, directory):
        return {"energy": float((directory / "RESULTS").read_text()), "forces": np.zeros((self.atoms, 3))}

    def load_profile(self, *given, **named):
        return None


class Here(Calculator):
    """A calculator of the user's own that knows nothing of `directory`, and makes a note of where it has been."""

    implemented_properties = ["energy", "forces"]
    places: list[Path]

    def calculate(self, *given):
        super().calculate(*given)
        self.places.append(Path.cwd())
        Path("RESULTS").touch()
        self.results = {"energy": 0.0, "forces": np.zeros((len(self.atoms), 3))}


def calculators(folder: Path, good: int, **given) -> Callable[[], Program]:
    """Return what makes calculators of one program, which gives results `good` times."""
    script = folder / "program"
    script.write_text(PROGRAM.format(log=folder, good=good))
    script.chmod(0o755)
    return lambda: Program(command=str(script), **given)


def program(folder: Path, good: int, **given) -> AseLabeler:
    """Return a labeler of such."""
    return AseLabeler(calculators(folder, good, **given))


def single_point(seed: int) -> Calculation:
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.1, seed=seed)
    return Calculation(atoms)


def trajectory(steps: int) -> Calculation:
    atoms = single_point(1).atoms
    return Calculation(atoms, AimdSettings(steps=steps, temperature_kelvin=300, timestep_fs=1, seed=5))


@pytest.mark.parametrize("directory", [".", "below", "../beside", "/elsewhere"])
def test_results_of_the_frame_before_are_no_results_of_this_one(tmp_path, monkeypatch, directory):
    monkeypatch.chdir(tmp_path)
    labeler = program(tmp_path, good=2, directory=directory.replace("/elsewhere", str(tmp_path / "disk")))
    verdicts = [labeler.compute(single_point(seed)) for seed in (1, 2, 3)]
    assert [verdict.reason for verdict in verdicts] == [None, None, "EngineError"]
    energies = [verdict.frames[0].get_potential_energy() for verdict in verdicts[:2]]
    assert energies == pytest.approx([single_point(seed).atoms.positions.sum() for seed in (1, 2)])
    assert not (tmp_path / "restarted").exists()
    assert Path.cwd() == tmp_path
    assert {path.name for path in tmp_path.iterdir()} <= {"program", "runs", "disk"}
    assert not list(tmp_path.glob("disk/*"))


def test_a_directory_elsewhere_stays_of_its_kind(tmp_path):
    def make():
        return GenericFileIOCalculator(template=Newer(), profile=object(), directory=tmp_path / "disk")

    verdict = AseLabeler(make).compute(single_point(1))
    assert verdict.ok, verdict.message


def test_no_room_to_compute_in_is_no_fault_of_the_frame(tmp_path):
    (tmp_path / "disk").touch()
    with pytest.raises(StageError, match="no folder to compute in") as caught:
        program(tmp_path, good=1, directory=str(tmp_path / "disk")).compute(single_point(1))
    assert caught.value.exit_code is ExitCode.TRANSIENT


def test_results_of_the_step_before_are_no_results_of_this_one(tmp_path):
    assert len(program(tmp_path, good=4).compute(trajectory(4)).frames) == 4
    (tmp_path / "runs").unlink()
    assert program(tmp_path, good=2).compute(trajectory(4)).reason == "EngineError"
    assert (tmp_path / "runs").read_text().count("run") == 3
    assert not (tmp_path / "restarted").exists()


def test_a_calculator_that_writes_where_it_is_has_each_place_for_itself():
    Here.places = []
    assert len(AseLabeler(Here).compute(trajectory(3)).frames) == 3
    assert AseLabeler(Here).compute(single_point(1)).ok
    assert len(set(Here.places)) == 4
    assert not any(place.exists() for place in Here.places)


@pytest.mark.parametrize(("kind", "made"), [(EMT, 1), (Here, 3)])
def test_a_calculator_goes_on_while_it_leaves_no_file(kind, made):
    Here.places = []
    calculators = []

    def make():
        calculators.append(kind())
        return calculators[-1]

    with Workplace(make) as workplace:
        for seed in (1, 2, 3):
            atoms = single_point(seed).atoms
            with workplace.calculator() as atoms.calc:
                atoms.get_forces()
    assert len(calculators) == made


def test_a_teacher_has_no_results_of_the_frame_before_either(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frames = [Atoms("Cu", positions=[[0.5 * number, 0, 0]]) for number in range(3)]
    model = CalculatorModel(calculators(tmp_path, good=2))
    assert [found.energy for found in model.predict(frames[:2])] == [0.0, 0.5]
    assert (tmp_path / "runs").read_text().count("run") == 2, "energy and forces are of one run"
    with pytest.raises(FileNotFoundError):
        model.predict(frames[2:])
    assert Path.cwd() == tmp_path and not (tmp_path / "restarted").exists()


def test_md_with_a_teacher_does_not_go_on_with_what_did_not_converge():
    class Diverges(EMT):
        converged = True

        def calculate(self, *given):
            super().calculate(*given)
            self.converged = self.results["energy"] < 0.1

    atoms = bulk("Cu", cubic=True)
    atoms.calc = CalculatorModel(Diverges).calculator()
    assert np.abs(atoms.get_forces()).max() < 0.1
    atoms.rattle(0.2, seed=1)
    with pytest.raises(SCFError):
        atoms.get_forces()


def test_a_batch_that_gains_nothing_is_not_tried():
    class Counts(CalculatorModel):
        batches = 0

        def predict(self, frames):
            self.batches += len(frames) > 1
            return super().predict(frames)

    model = Counts(EMT)
    frames = [bulk("Cu"), bulk("U")]
    found = predictions_or_errors(model, frames, model.predict, lambda error: None)
    assert model.batches == 0 and [isinstance(each, Exception) for each in found] == [False, True]


def test_what_is_asked_for_together_is_computed_together():
    class OnlyWhatIsAsked(EMT):
        runs = 0

        def calculate(self, atoms=None, properties=(), *given):
            OnlyWhatIsAsked.runs += 1
            super().calculate(atoms, properties, *given)
            self.results: dict[str, Any] = {name: self.results[name] for name in properties}

    calculator = CalculatorModel(OnlyWhatIsAsked).calculator()
    calculator.calculate(bulk("Cu"), ["energy", "forces", "stress"])
    assert set(calculator.results) == {"energy", "forces", "stress"} and OnlyWhatIsAsked.runs == 1

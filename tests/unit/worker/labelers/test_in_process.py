"""ASE calculators as labelers: derivatives, trajectories, errors."""

import subprocess

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.calculator import CalculationFailed, Calculator, SCFError
from ase.calculators.emt import EMT as EMTCalculator

from pfd_operator.contract.engine import AseEngine, XtbEngine
from pfd_operator.contract.result import ExitCode, Reason
from pfd_worker.errors import StageError
from pfd_worker.frames import energy_of, virial_of
from pfd_worker.labelers.in_process import AseLabeler, xtb_labeler
from pfd_worker.labelers.task import AimdSettings, Calculation
from tests.unit.worker.labelers.derivatives import force_differences, virial_differences

EMT = AseEngine(calculator="ase.calculators.emt:EMT")


class SiteError(Exception):
    pass


class KohnShamConvergenceError(SiteError):
    """As GPAW's, which is of no common class either."""


class ScfNotConverged(SiteError):
    pass


def rattled(name="Cu", seed=3, **cell):
    atoms = bulk(name, cubic=True, **cell)
    atoms.rattle(0.1, seed=seed)
    return atoms


def computing(labeler):
    def compute(atoms):
        verdict = labeler.compute(Calculation(atoms))
        assert verdict.ok, verdict.message
        return verdict.frames[0]

    return compute


def test_emt_labels_are_derivatives_of_their_energy():
    compute = computing(AseLabeler.from_settings(EMT))
    assert np.abs(force_differences(compute, rattled(), [(0, 0), (1, 2), (3, 1)], 1e-3)).max() < 1e-4
    assert np.abs(virial_differences(compute, rattled(), [(0, 0), (1, 2), (2, 2)], 1e-4)).max() < 1e-4


@pytest.mark.image
def test_xtb_labels_are_derivatives_of_their_energy():
    compute = computing(xtb_labeler(XtbEngine(accuracy=0.01)))
    atoms = rattled("Si")
    assert np.abs(force_differences(compute, atoms, [(0, 0), (5, 2)], 5e-3)).max() < 2e-3
    assert np.abs(virial_differences(compute, atoms, [(0, 0), (0, 1)], 2e-3)).max() < 2e-2


@pytest.mark.image
def test_xtb_that_does_not_converge_is_a_failed_label():
    verdict = xtb_labeler(XtbEngine(max_iterations=1)).compute(Calculation(rattled("Si")))
    assert verdict.reason == "ScfNotConverged"
    assert verdict.message


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError(), "OutOfMemory"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "OutOfMemory"),
        (SCFError("no"), "ScfNotConverged"),
        (subprocess.CalledProcessError(1, "pw.x"), "EngineError"),
        (CalculationFailed("SCF not converged in 250 cycles"), "ScfNotConverged"),
        (CalculationFailed("no output"), "EngineError"),
        (ValueError("NaN"), "EngineError"),
        (KohnShamConvergenceError("see the text output"), "ScfNotConverged"),
        (ScfNotConverged(), "ScfNotConverged"),
        # CP2K's shell, a program that is not there, a wrapper's own class
        (AssertionError(), "EngineError"),
        (FileNotFoundError("pw.x"), "EngineError"),
        (SiteError("no licence"), "EngineError"),
    ],
)
def test_what_a_calculator_raises_has_a_reason(error, reason):
    class Raises(Calculator):
        implemented_properties = ["energy", "forces"]

        def calculate(self, *given):
            raise error

    verdict = AseLabeler(Raises).compute(Calculation(rattled()))
    assert (verdict.ok, verdict.reason) == (False, reason)


@pytest.mark.parametrize("quantity", ["free_energy", "forces", "stress"])
def test_values_that_are_not_numbers_are_a_failed_label(quantity):
    class Broken(EMTCalculator):
        def calculate(self, *given):
            super().calculate(*given)
            self.results[quantity] = self.results[quantity] * np.nan

    verdict = AseLabeler(Broken).compute(Calculation(rattled()))
    assert (verdict.ok, verdict.reason) == (False, "EngineError")
    assert "not numbers" in verdict.message


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (True, None),
        (np.True_, None),
        (False, "ScfNotConverged"),
        # an output that was cut off says nothing of the cycle: no failure for everybody
        (None, "EngineError"),
    ],
)
def test_a_calculator_that_can_say_that_it_converged_has_to(said, reason):
    class Says(EMTCalculator):
        converged = said

    assert AseLabeler(Says).compute(Calculation(rattled())).reason == reason


def test_what_the_maker_of_calculators_refuses_is_no_failed_label():
    def refuses():
        raise StageError(ExitCode.USER_ERROR, Reason.DATA_INVALID, "no such calculator")

    with pytest.raises(StageError, match="no such calculator"):
        AseLabeler(refuses).compute(Calculation(rattled()))


def test_a_trajectory_starts_at_the_start_and_conserves_energy():
    task = Calculation(rattled(), AimdSettings(steps=20, temperature_kelvin=300, timestep_fs=1, seed=5))
    labeler = AseLabeler.from_settings(EMT)
    frames = labeler.compute(task).frames
    assert len(frames) == 20
    np.testing.assert_allclose(frames[0].positions, task.atoms.positions)
    first, second = frames[0], frames[1]
    moved = second.positions - first.positions
    velocities = task.start().get_velocities()
    np.testing.assert_allclose(moved, velocities * 0.0982269, atol=2e-3)
    again = labeler.compute(task).frames
    assert [energy_of(frame) for frame in again] == [energy_of(frame) for frame in frames]
    assert all(virial_of(frame) is not None for frame in frames)


def test_a_step_that_fails_takes_none_of_those_before_it_along():
    calls = []

    class FailsAtTheThird(EMTCalculator):
        def calculate(self, *given):
            calls.append(1)
            if len(calls) == 3:
                raise SCFError("no convergence")
            super().calculate(*given)

    task = Calculation(rattled(), AimdSettings(steps=5, temperature_kelvin=300, timestep_fs=1, seed=5))
    verdict = AseLabeler(FailsAtTheThird).compute(task)
    assert (verdict.ok, verdict.reason, len(verdict.frames)) == (False, "ScfNotConverged", 2)
    for frame, whole in zip(verdict.frames, AseLabeler(EMTCalculator).compute(task).frames, strict=False):
        np.testing.assert_array_equal(frame.positions, whole.positions)
        assert energy_of(frame) == energy_of(whole)


@pytest.mark.parametrize("pbc", [False, [True, True, False]])
def test_no_virial_without_a_cell_that_is_periodic_in_all_directions(pbc):
    atoms = rattled()
    atoms.pbc = pbc
    assert virial_of(AseLabeler.from_settings(EMT).compute(Calculation(atoms)).frames[0]) is None


def without_stress(answer):
    """Return EMT whose class lists a stress that it cannot give, or gives as zeros."""

    class Lacks(EMTCalculator):
        def calculate(self, *given):
            super().calculate(*given)
            del self.results["stress"]
            if answer is not None:
                self.results["stress"] = answer

    class Refuses(EMTCalculator):
        def get_stress(self, atoms=None):
            raise NotImplementedError("no stress with this functional")

    assert "stress" in Lacks.implemented_properties
    return Refuses if isinstance(answer, str) else Lacks


@pytest.mark.parametrize("answer", [None, "refused", np.zeros(6), -np.zeros(6)])
def test_what_has_no_stress_is_a_label_without_a_virial(answer):
    labeler = AseLabeler(without_stress(answer))
    frame = computing(labeler)(rattled())
    whole = computing(AseLabeler(EMTCalculator))(rattled())
    assert virial_of(frame) is None and virial_of(whole) is not None
    assert energy_of(frame) == energy_of(whole)
    np.testing.assert_array_equal(frame.get_forces(), whole.get_forces())
    aimd = Calculation(rattled(), AimdSettings(steps=3, temperature_kelvin=300, timestep_fs=1, seed=5))
    assert [virial_of(step) for step in labeler.compute(aimd).frames] == [None] * 3


def test_a_stress_of_zero_is_believed_where_symmetry_can_make_it():
    labeler = AseLabeler(without_stress(np.zeros(6)))
    np.testing.assert_array_equal(virial_of(computing(labeler)(bulk("Cu"))), np.zeros((3, 3)))


def test_a_program_that_is_asked_for_a_stress_alone_gives_nothing_else():
    """As those that write an input for what is asked: each order but one runs them once more."""
    asked = []

    class Asked(EMTCalculator):
        def calculate(self, atoms=None, properties=("energy",), system_changes=()):
            asked.append(tuple(properties))
            super().calculate(atoms, properties, system_changes)
            if "stress" not in properties:
                del self.results["stress"]
            if "forces" not in properties:
                del self.results["forces"]

    assert virial_of(computing(AseLabeler(Asked))(rattled())) is not None
    assert asked == [("forces",), ("stress",)]


def test_a_trajectory_of_atoms_that_do_not_move_has_its_steps():
    task = Calculation(bulk("Cu", cubic=True), AimdSettings(steps=4, temperature_kelvin=0, timestep_fs=1, seed=5))
    assert len(AseLabeler.from_settings(EMT).compute(task).frames) == 4


def test_an_element_the_calculator_lacks_is_a_failed_label():
    verdict = AseLabeler.from_settings(EMT).compute(Calculation(rattled("Si")))
    assert not verdict.ok
    assert "Si" in verdict.message


@pytest.mark.parametrize("engine", [{"calculator": "no.such:Thing"}, {"calculator": "ase.calculators.emt:Nothing"}])
def test_a_calculator_that_is_not_there_is_the_users_error(engine):
    with pytest.raises(StageError, match=r"spec\.labeling\.engine\.ase\.calculator"):
        AseLabeler.from_settings(AseEngine(**engine))


@pytest.mark.parametrize("parameters", [{}, {"profile": "orca"}])
def test_a_calculator_that_wants_a_configuration_says_where_it_comes_from(parameters):
    with pytest.raises(StageError, match="ASE_CONFIG_PATH") as refused:
        AseLabeler.from_settings(AseEngine(calculator="ase.calculators.orca:ORCA", parameters=parameters))
    assert refused.value.reason is Reason.DATA_INVALID
    assert "docs/own-engine.md" in refused.value.message


def make_for_a_gpu():
    raise RuntimeError("No CUDA GPUs are available")


@pytest.mark.parametrize("name", ["make_for_a_gpu", "nothing_of_the_kind"])
def test_a_calculator_that_a_machine_cannot_make_is_not_the_specs_fault(name):
    settings = AseEngine(calculator=f"{__name__}:{name}")
    with pytest.raises(StageError, match=r"spec\.labeling\.engine\.ase\.calculator") as caught:
        AseLabeler.from_settings(settings)
    of_machine = name == "make_for_a_gpu"
    assert (caught.value.exit_code is ExitCode.TRANSIENT) == of_machine
    assert ("If it needs a GPU, ask for one in spec.pods" in caught.value.message) == of_machine

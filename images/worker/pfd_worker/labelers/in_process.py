"""Labels by an ASE calculator in the worker: GFN1-xTB, or any that can be imported."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import CalculationFailed, SCFError
from ase.md.verlet import VelocityVerlet

from pfd_operator.contract.labeling import AseEngine, XtbEngine
from pfd_worker.frames import energy_of, has_virial, is_labelled, labelled
from pfd_worker.labelers.base import LabelTask, Verdict
from pfd_worker.models.calculator import check_converged, make_calculator
from pfd_worker.out_of_memory import is_out_of_memory

CALCULATOR_FIELD = "spec.labeling.engine.ase.calculator"
_ENGINE_ERRORS = (
    CalculationFailed,
    SCFError,
    RuntimeError,
    ValueError,
    ArithmeticError,
    np.linalg.LinAlgError,
    MemoryError,
    # ASE runs the programs of its newer file calculators by check_call
    subprocess.SubprocessError,
)


class AseLabeler:
    """Compute with a calculator made anew for each task, so that no task sees another's state.

    Parameters
    ----------
    make_calculator
        Returns an ASE calculator with energy, forces and, for frames that have a virial, stress.
    """

    def __init__(self, make_calculator: Callable[[], Any]) -> None:
        self._make_calculator = make_calculator

    @classmethod
    def from_settings(cls, settings: AseEngine) -> AseLabeler:
        """Import the calculator the spec names.

        Raises
        ------
        StageError
            If it cannot be imported or does not take the parameters.
        """
        make_calculator(settings, CALCULATOR_FIELD)
        return cls(lambda: make_calculator(settings, CALCULATOR_FIELD))

    def compute(self, task: LabelTask) -> Verdict:
        """Compute a single point, or a short trajectory in the NVE ensemble whose first frame is the start."""
        try:
            if task.steps is None:
                return Verdict((self._label(task.atoms.copy()),))
            return Verdict(tuple(self._trajectory(task, task.steps)))
        except _ENGINE_ERRORS as error:
            return failed(error)

    def _trajectory(self, task: LabelTask, steps: int) -> list[Atoms]:
        atoms = task.start()
        atoms.calc = self._make_calculator()
        dynamics = VelocityVerlet(atoms, timestep=task.timestep_fs * units.fs)
        frames = [_labelled_now(atoms)]
        for _ in range(steps - 1):
            dynamics.run(1)
            frames.append(_labelled_now(atoms))
        return frames

    def _label(self, atoms: Atoms) -> Atoms:
        atoms.calc = self._make_calculator()
        return _labelled_now(atoms)


def failed(error: Exception) -> Verdict:
    """Return the verdict on a calculation that ended with an error."""
    # tblite says it in words only
    unconverged = isinstance(error, SCFError) or "not converged" in str(error).lower()
    reason = "ScfNotConverged" if unconverged else "EngineError"
    if is_out_of_memory(error):
        reason = "OutOfMemory"
    return Verdict(reason=reason, message=f"{type(error).__name__}: {error}"[-1000:])


def _labelled_now(atoms: Atoms) -> Atoms:
    virial = None
    if has_virial(atoms) and "stress" in atoms.calc.implemented_properties:
        virial = -atoms.get_volume() * atoms.get_stress(voigt=False)
    frame = labelled(atoms, energy_of(atoms), atoms.get_forces(), virial)
    check_converged(atoms.calc)
    if not is_labelled(frame):
        raise ArithmeticError("the calculator returned values that are not numbers")
    frame.set_velocities(np.zeros((len(frame), 3)))
    return frame


def xtb_labeler(settings: XtbEngine) -> AseLabeler:
    """Return GFN1-xTB (Grimme, Bannwarth, Shushkov 2017, doi:10.1021/acs.jctc.7b00118) by tblite."""

    def make() -> Any:
        from tblite.ase import TBLite

        return TBLite(
            method="GFN1-xTB",
            accuracy=settings.accuracy,
            electronic_temperature=settings.electronic_temperature_kelvin,
            max_iterations=settings.max_iterations,
            verbosity=0,
        )

    return AseLabeler(make)

"""Labels by an ASE calculator in the worker: GFN1-xTB, or any that can be imported."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import PropertyNotPresent, SCFError
from ase.md.verlet import VelocityVerlet
from numpy.typing import NDArray

from pfd_operator.contract.engine import AseEngine, XtbEngine
from pfd_worker.errors import StageError
from pfd_worker.frames import energy_of, has_virial, is_labelled, labelled
from pfd_worker.labelers.base import LabelFailure, Verdict
from pfd_worker.labelers.task import AimdSettings, Calculation
from pfd_worker.models.base import FrameCalculator
from pfd_worker.models.calculator import check_converged, make_calculator
from pfd_worker.models.workplace import Workplace
from pfd_worker.out_of_memory import is_out_of_memory

CALCULATOR_FIELD = "spec.labeling.engine.ase.calculator"
_UNCONVERGED = re.compile(r"Convergence\w*Error|NotConverged")
"""Classes of errors that say it by their name: GPAW's KohnShamConvergenceError and psi4's SCFConvergenceError, say."""


class AseLabeler:
    """Compute with a calculator made anew for each task, so that no task sees another's state.

    Parameters
    ----------
    make_calculator
        Returns an ASE calculator with energy, forces and, if labels are to have a virial, stress.
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

    def compute(self, calculation: Calculation) -> Verdict:
        """Compute a single point, or a short trajectory in the NVE ensemble whose first frame is the start.

        Raises
        ------
        StageError
            As the maker of calculators does; whatever else is raised is a failed label.
        """
        frames: list[Atoms] = []
        try:
            with Workplace(self._make_calculator) as workplace:
                if calculation.aimd is None:
                    frames.append(_labelled_by(workplace, calculation.atoms))
                else:
                    frames.extend(_trajectory(workplace, calculation.start(), calculation.aimd))
        except StageError:
            raise
        except Exception as error:  # calculators of third parties raise whatever they like
            return failed_by(error, frames)
        return Verdict(tuple(frames))


class _Labels:
    """What moves the atoms of a trajectory: a label of each step."""

    def __init__(self, workplace: Workplace) -> None:
        self._workplace = workplace
        self.frame = Atoms()

    def __call__(self, atoms: Atoms) -> dict[str, Any]:
        """Label the atoms where they are now."""
        self.frame = _labelled_by(self._workplace, atoms)
        return {"energy": energy_of(self.frame), "forces": self.frame.get_forces()}


def _trajectory(workplace: Workplace, atoms: Atoms, aimd: AimdSettings) -> Iterator[Atoms]:
    """Yield each step when it is there: one that fails takes none of those before it along."""
    labels = _Labels(workplace)
    atoms.calc = FrameCalculator(labels, ["energy", "forces"])
    dynamics = VelocityVerlet(atoms, timestep=aimd.timestep_fs * units.fs)
    atoms.get_forces()
    yield labels.frame
    for _ in range(aimd.steps - 1):
        dynamics.run(1)
        yield labels.frame


def _labelled_by(workplace: Workplace, structure: Atoms) -> Atoms:
    with workplace.calculator() as calculator:
        return _computed(calculator, structure)


def _computed(calculator: Any, structure: Atoms) -> Atoms:
    atoms = structure.copy()
    atoms.calc = calculator
    # forces first: a program that is asked for them gives the energy, too; what fails for want of a stress leaves both
    forces, energy = atoms.get_forces(), energy_of(atoms)
    frame = labelled(atoms, energy, forces, _virial(atoms))
    check_converged(atoms.calc)
    if not is_labelled(frame):
        raise ArithmeticError("the calculator returned values that are not numbers")
    return frame


def _virial(atoms: Atoms) -> NDArray[np.float64] | None:
    """Return the virial (3, 3) in eV; None if the calculator has no stress, whatever its class says."""
    if not has_virial(atoms) or "stress" not in atoms.calc.implemented_properties:
        return None
    try:
        stress = atoms.get_stress(voigt=False)
    except (NotImplementedError, PropertyNotPresent):
        return None
    virial: NDArray[np.float64] = -atoms.get_volume() * stress
    return virial


def failed_by(error: Exception, frames: Sequence[Atoms] = ()) -> Verdict:
    """Return the verdict on a calculation that ended with an error, after these frames."""
    named = any(_UNCONVERGED.search(kind.__name__) for kind in type(error).__mro__)
    # tblite says it in words only
    unconverged = named or isinstance(error, SCFError) or "not converged" in str(error).lower()
    reason = LabelFailure.SCF_NOT_CONVERGED if unconverged else LabelFailure.ENGINE_ERROR
    if is_out_of_memory(error):
        reason = LabelFailure.OUT_OF_MEMORY
    return Verdict(tuple(frames), reason, f"{type(error).__name__}: {error}"[-1000:])


def xtb_labeler(settings: XtbEngine) -> AseLabeler:
    """Return GFN1-xTB (Grimme, Bannwarth, Shushkov 2017, doi:10.1021/acs.jctc.7b00118) by tblite."""
    # here, not where one is made: an image without it is no failure of a label
    from tblite.ase import TBLite

    def make() -> Any:
        return TBLite(
            method="GFN1-xTB",
            accuracy=settings.accuracy,
            electronic_temperature=settings.electronic_temperature_kelvin,
            max_iterations=settings.max_iterations,
            verbosity=0,
        )

    return AseLabeler(make)

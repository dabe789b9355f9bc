"""Any ASE calculator as a model: it can explore and teach, and is not trained."""

from __future__ import annotations

import importlib
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BadConfiguration, CalculationFailed, Calculator, SCFError, all_changes
from ase.calculators.genericfileio import GenericFileIOCalculator
from ase.neighborlist import neighbor_list
from numpy.typing import NDArray

from pfd_operator.contract.engine import AseEngine
from pfd_operator.contract.result import Reason
from pfd_worker.errors import transient, user_error
from pfd_worker.frames import energy_of, has_virial
from pfd_worker.machine_faults import says_machine_fault
from pfd_worker.models.base import ExactCalculator, Prediction, species_features
from pfd_worker.models.workplace import Workplace

FEATURE_CUTOFF_ANGSTROM = 6.0
_SHELLS = 12
_IN_IMAGE = "The worker image must hold it, and it must take these parameters."
_COMMAND_OF_IMAGE = (
    "Calculators of this kind read their program's command from a file of ASE's configuration: build an image with "
    "one, named by ASE_CONFIG_PATH, and leave profile out of the parameters (docs/own-engine.md shows it for ORCA)."
)


def make_calculator(settings: AseEngine, where: str) -> Calculator:
    """Import a calculator and make it.

    Parameters
    ----------
    settings
        Where it is, and the arguments of its constructor.
    where
        The field of the spec, for messages.

    Raises
    ------
    StageError
        DataInvalid, if it cannot be imported or does not take the parameters.
    """
    module_name, class_name = settings.calculator.split(":")
    try:
        made = getattr(importlib.import_module(module_name), class_name)(**settings.parameters)
        if isinstance(made, GenericFileIOCalculator) and isinstance(made.profile, str):
            raise BadConfiguration("profile is an object of Python, not a name")
    except Exception as error:  # whatever a third-party constructor raises, the user's spec asked for it
        if says_machine_fault(str(error)):
            words = f"cannot be made on this machine: {type(error).__name__}: {error}. If it needs a GPU, ask for one"
            raise transient(Reason.ENGINE_LOST, f"{where}: {settings.calculator} {words} in spec.pods.") from error
        what_to_do = _COMMAND_OF_IMAGE if isinstance(error, BadConfiguration) else _IN_IMAGE
        raise user_error(
            Reason.DATA_INVALID,
            f"{where}: {settings.calculator} cannot be made: {type(error).__name__}: {error}. {what_to_do}",
        ) from error
    return made


def check_converged(calculator: Calculator) -> None:
    """Raise what others raise themselves, if a calculator only says whether it converged, as ASE's Vasp does.

    Raises
    ------
    SCFError
        If it says no: whatever its values are, they are no result.
    CalculationFailed
        If it has not found out, as from an output that was cut off: of the cycle that says nothing.
    """
    converged = getattr(calculator, "converged", True)
    if converged is None:
        raise CalculationFailed("the calculator cannot say whether its cycle came to its end")
    if not converged:
        raise SCFError("the calculator says that its cycle did not converge")


class PlacedCalculator(ExactCalculator):
    """A calculator for which no calculation finds the files of another, and that never gives what did not converge.

    Parameters
    ----------
    make
        Makes the calculator that computes.
    """

    def __init__(self, make: Callable[[], Calculator]) -> None:
        self._workplace = Workplace(make)
        with self._workplace.calculator() as calculator:
            super().__init__(calculator.implemented_properties)
        weakref.finalize(self, self._workplace.clear)

    def evaluated(self, atoms: Atoms, properties: Sequence[str]) -> dict[str, Any]:
        """Evaluate what is asked for: a stress that nobody wants may cost as much as all else."""
        with self._workplace.calculator() as calculator:
            frame = atoms.copy()
            if len(properties) > 1:
                # together: some calculators would run once for each
                calculator.calculate(frame, list(properties), list(all_changes))
            else:
                calculator.get_property(*properties, frame)
            check_converged(calculator)
            return dict(calculator.results)


class CalculatorModel:
    """A calculator behind what stages ask of a model.

    Parameters
    ----------
    make
        Makes a calculator with energy, forces and, for frames that have a virial, stress.
    """

    def __init__(self, make: Callable[[], Calculator]) -> None:
        self._calculator = PlacedCalculator(make)

    @classmethod
    def from_settings(cls, settings: AseEngine, where: str) -> CalculatorModel:
        """Import the calculator that the spec names, see `make_calculator`."""
        return cls(lambda: make_calculator(settings, where))

    @property
    def atoms_together(self) -> int:
        """Return 0: a calculator takes one frame at a time."""
        return 0

    @property
    def cutoff(self) -> float:
        """Return 0: calculators do not tell."""
        return 0.0

    def predict_moving(self, frames: Sequence[Atoms]) -> list[Prediction]:
        """Return what `predict` does."""
        return self.predict(frames)

    def predict(self, frames: Sequence[Atoms]) -> list[Prediction]:
        """Return energy, forces and virial of every frame, in the order given.

        Raises
        ------
        SCFError, CalculationFailed
            If the calculator does not say that it converged, and can.
        """
        return [self._predict(atoms.copy()) for atoms in frames]

    def _predict(self, atoms: Atoms) -> Prediction:
        atoms.calc = self._calculator
        virial = np.zeros((3, 3))
        if has_virial(atoms):
            virial = -atoms.get_volume() * atoms.get_stress(voigt=False)
        return Prediction(energy_of(atoms), np.array(atoms.get_forces()), virial)

    def features(self, frames: Sequence[Atoms], elements: Sequence[str]) -> NDArray[np.float32]:
        """Return one vector per frame: a calculator tells no descriptors, so radial ones stand in, see below."""
        return np.array([radial_features(atoms, elements) for atoms in frames], dtype=np.float32)

    def calculator(self) -> Calculator:
        """Return the calculator itself."""
        return self._calculator


def radial_features(atoms: Atoms, elements: Sequence[str]) -> NDArray[np.float32]:
    """Return mean and spread, over the atoms of each element, of radial symmetry functions.

    The functions are G2 of Behler and Parrinello (Phys. Rev. Lett. 98, 146401, 2007), by element of the neighbour, with
    centres spread evenly up to the cutoff and widths of one spacing.

    Parameters
    ----------
    atoms
        The frame.
    elements
        Elements of all systems, in a fixed order.

    Returns
    -------
    NDArray
        (2 * n_elements * n_elements * 12,), float32; zeros for elements the frame does not have.
    """
    i, j, distance = neighbor_list("ijd", atoms, FEATURE_CUTOFF_ANGSTROM)
    symbols = atoms.get_chemical_symbols()
    kinds = np.array([elements.index(symbol) for symbol in symbols])
    spacing = FEATURE_CUTOFF_ANGSTROM / _SHELLS
    centres = spacing * (np.arange(_SHELLS) + 0.5)
    smooth = 0.5 * (1 + np.cos(np.pi * distance / FEATURE_CUTOFF_ANGSTROM))
    values = np.exp(-0.5 * ((distance[:, None] - centres) / spacing) ** 2) * smooth[:, None]
    atomic = np.zeros((len(atoms), len(elements), _SHELLS))
    np.add.at(atomic, (i, kinds[j]), values)
    flat: NDArray[Any] = atomic.reshape(len(atoms), -1)
    features: NDArray[np.float32] = species_features(flat[None], symbols, elements)[0]
    return features

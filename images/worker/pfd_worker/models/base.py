"""What the stages ask of a model: energies, forces, virials, an ASE calculator and features."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from numpy.typing import NDArray

from pfd_worker.frames import energy_of, has_virial, virial_of

FEATURE_FORM = 2
"""Of what `species_features` gives: features of another one, of a worker of another version, are not comparable."""


@dataclass(frozen=True)
class Prediction:
    """What a model says about one frame."""

    energy: float
    """In eV."""
    forces: NDArray[np.float64]
    """(n_atoms, 3), in eV/Å."""
    virial: NDArray[np.float64]
    """(3, 3), in eV: -V*stress; zeros for a frame that has none (`has_virial`)."""

    @property
    def is_finite(self) -> bool:
        """Whether all of it is numbers."""
        return bool(np.isfinite(self.energy) and np.isfinite(self.forces).all() and np.isfinite(self.virial).all())

    @classmethod
    def of_label(cls, atoms: Atoms) -> Prediction:
        """Return what a labelled frame says of itself."""
        virial = virial_of(atoms)
        return cls(energy_of(atoms), atoms.get_forces(), np.zeros((3, 3)) if virial is None else virial)


class AtomisticModel(Protocol):
    """A potential-energy model with features."""

    @property
    def atoms_together(self) -> int:
        """Atoms of all frames up to which one prediction takes less time than one for each; 0: none are."""
        ...

    @property
    def cutoff(self) -> float:
        """Farthest neighbour that an atom sees at once, in Å; 0 if that is not known."""
        ...

    def predict(self, frames: Sequence[Atoms]) -> list[Prediction]:
        """Return energy, forces and virial of every frame, in the order given."""
        ...

    def predict_moving(self, frames: Sequence[Atoms]) -> list[Prediction]:
        """Return what `predict` does, for frames that move little from call to call, as in MD."""
        ...

    def features(self, frames: Sequence[Atoms], elements: Sequence[str]) -> NDArray[np.float32]:
        """Return one vector per frame: for each element the mean and spread of its atoms' descriptors."""
        ...

    def calculator(self) -> Calculator:
        """Return an ASE calculator that shares the loaded model."""
        ...


class ExactCalculator(Calculator):  # type: ignore[misc]
    """ASE calculator that takes a frame for another unless it is the same to the last bit.

    ASE looks within a tolerance, which takes half of an integrator's own time.

    Parameters
    ----------
    properties
        Names of what it can give.
    """

    def __init__(self, properties: Sequence[str]) -> None:
        super().__init__()
        self.implemented_properties = list(properties)

    @abstractmethod
    def evaluated(self, atoms: Atoms, properties: Sequence[str]) -> dict[str, Any]:
        """Return ASE's results for a new frame, with these properties among them."""

    def check_state(self, atoms: Atoms, tol: float = 0.0) -> list[str]:
        """Return what has changed since the last evaluation: nothing or all."""
        known = self.atoms
        same = (
            known is not None
            and np.array_equal(atoms.positions, known.positions)
            and np.array_equal(atoms.cell.array, known.cell.array)
            and np.array_equal(atoms.numbers, known.numbers)
            and np.array_equal(atoms.pbc, known.pbc)
        )
        return [] if same else list(all_changes)

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Evaluate once what is asked for."""
        super().calculate(atoms, properties, system_changes)
        self.results = self.evaluated(self.atoms, properties)


class FrameCalculator(ExactCalculator):
    """ASE calculator over a function of a frame, which gives all that is asked for at once.

    Parameters
    ----------
    evaluate
        Called with each new frame; returns ASE's results.
    properties
        Names of what it returns.
    """

    def __init__(self, evaluate: Callable[[Atoms], dict[str, Any]], properties: Sequence[str]) -> None:
        super().__init__(properties)
        self._evaluate = evaluate

    def evaluated(self, atoms: Atoms, properties: Sequence[str]) -> dict[str, Any]:
        """Evaluate once; every property comes with it."""
        return self._evaluate(atoms)


def model_calculator(predict: Callable[[Atoms], Prediction]) -> FrameCalculator:
    """Return an ASE calculator over a model's predictions: energy, forces and, of what has one, stress."""

    def evaluate(atoms: Atoms) -> dict[str, Any]:
        prediction = predict(atoms)
        results = {"energy": prediction.energy, "free_energy": prediction.energy, "forces": prediction.forces}
        if has_virial(atoms):
            stress = -prediction.virial / atoms.get_volume()
            results["stress"] = stress.flat[[0, 4, 8, 5, 2, 1]]
        return results

    return FrameCalculator(evaluate, ["energy", "free_energy", "forces", "stress"])


def species_features(
    descriptors: NDArray[np.float64], symbols: Sequence[str], elements: Sequence[str]
) -> NDArray[np.float32]:
    """Reduce atomic descriptors of frames of equal atoms to one vector per frame.

    A mean over all atoms would not see which element sits where: an antisite pair leaves it unchanged. Mean and spread
    are taken for each element by itself. Elements that a frame does not have give zeros.

    The spread is the fourth root of the mean fourth power of deviations: the standard deviation does not see one broken
    site among hundreds of atoms, and largest deviations, of which each frame has others, hide what all atoms do. What
    is of an element is weighted by the root of its share of the atoms, so that the motion of a few dopants, which no
    mean over many evens out, does not decide all distances.

    Parameters
    ----------
    descriptors
        (n_frames, n_atoms, n_descriptor).
    symbols
        Element of each atom.
    elements
        Elements of all systems, in a fixed order.

    Returns
    -------
    NDArray
        (n_frames, 2 * n_descriptor * n_elements), float32.
    """
    n_frames, _, n_descriptor = descriptors.shape
    kinds = np.asarray(symbols)
    blocks = []
    for element in elements:
        chosen = kinds == element
        if chosen.any():
            part = descriptors[:, chosen, :]
            mean = part.mean(axis=1)
            spread = ((part - mean[:, None]) ** 4).mean(axis=1) ** 0.25
            weight = np.sqrt(chosen.mean())
            blocks += [weight * mean, weight * spread]
        else:
            blocks += [np.zeros((n_frames, n_descriptor))] * 2
    return np.concatenate(blocks, axis=1).astype(np.float32)

"""What the stages ask of a model: energies, forces, virials, an ASE calculator and features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from numpy.typing import NDArray


@dataclass(frozen=True)
class Prediction:
    """What a model says about one frame."""

    energy: float
    """In eV."""
    forces: NDArray[np.float64]
    """(n_atoms, 3), in eV/Å."""
    virial: NDArray[np.float64]
    """(3, 3), in eV: -V*stress; zeros for a frame that has none (`has_virial`)."""


class AtomisticModel(Protocol):
    """A potential-energy model with features."""

    def predict(self, frames: Sequence[Atoms]) -> list[Prediction]:
        """Return energy, forces and virial of every frame, in the order given."""
        ...

    def features(self, frames: Sequence[Atoms], elements: Sequence[str]) -> NDArray[np.float32]:
        """Return one vector per frame: for each element the mean and spread of its atoms' descriptors."""
        ...

    def calculator(self) -> Calculator:
        """Return an ASE calculator that shares the loaded model."""
        ...


def species_features(
    descriptors: NDArray[np.float64], symbols: Sequence[str], elements: Sequence[str]
) -> NDArray[np.float32]:
    """Reduce atomic descriptors of frames of equal atoms to one vector per frame.

    A mean over all atoms would not see which element sits where: an antisite pair leaves it unchanged. Mean and spread
    are taken for each element by itself. Elements that a frame does not have give zeros.

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
            blocks += [part.mean(axis=1), part.std(axis=1)]
        else:
            blocks += [np.zeros((n_frames, n_descriptor))] * 2
    return np.concatenate(blocks, axis=1).astype(np.float32)

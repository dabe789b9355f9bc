"""Models of deepmd-kit's PyTorch backend (DPA-1, DPA-2, DPA-3, se_e2_a, …)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from numpy.typing import NDArray

from pfd_worker.frames import groups_of_equal_atoms, has_virial, periodic_cell
from pfd_worker.models.base import Prediction, species_features

ATOMS_PER_BATCH = 8192
"""Whose descriptors are held at a time: those of one atom take up to 4 kB, and many frames are reduced to features."""

# one hint for each loaded checkpoint would fill the log of a train stage
logging.getLogger("deepmd.utils.batch_size").setLevel(logging.ERROR)


class DeepmdModel:
    """A single-task checkpoint, loaded once for prediction, descriptors and MD.

    Parameters
    ----------
    path
        Single-task .pt checkpoint, as `extract_branch` and training write it.
    """

    def __init__(self, path: Path) -> None:
        from deepmd.infer import DeepPot

        # Not TorchScript: with Debian's torch its tensor-expression compiler stands for minutes at the first
        # descriptor, and eager is as fast (4 ms for 4 atoms either way, loading 10 ms instead of 160)
        self._potential: Any = DeepPot(str(path), no_jit=True)
        self._type_map: list[str] = list(self._potential.get_type_map())
        self._index = {element: number for number, element in enumerate(self._type_map)}

    @property
    def type_map(self) -> list[str]:
        """Elements the model knows, in its own order."""
        return self._type_map

    @property
    def cutoff(self) -> float:
        """Farthest neighbour that the model sees, in Å."""
        return float(self._potential.get_rcut())

    def _arguments(self, frames: Sequence[Atoms]) -> dict[str, Any]:
        first = frames[0]
        return {
            "coords": np.array([atoms.positions.ravel() for atoms in frames]),
            "cells": np.array([periodic_cell(atoms).ravel() for atoms in frames]) if first.pbc.any() else None,
            "atom_types": [self._index[symbol] for symbol in first.get_chemical_symbols()],
        }

    def predict(self, frames: Sequence[Atoms]) -> list[Prediction]:
        """Return energy, forces and virial of every frame, in the order given; equal frames go in one batch."""
        results: list[Prediction | None] = [None] * len(frames)
        for numbers in groups_of_equal_atoms(frames):
            energies, forces, virials = self._potential.eval(**self._arguments([frames[i] for i in numbers]))[:3]
            for row, number in enumerate(numbers):
                virial = virials[row].reshape(3, 3) if has_virial(frames[number]) else np.zeros((3, 3))
                results[number] = Prediction(float(energies[row, 0]), forces[row], 0.5 * (virial + virial.T))
        return [result for result in results if result is not None]

    def features(self, frames: Sequence[Atoms], elements: Sequence[str]) -> NDArray[np.float32]:
        """Return (n_frames, n_features): mean and spread of the descriptors of each element's atoms."""
        rows: dict[int, NDArray[np.float32]] = {}
        for group in groups_of_equal_atoms(frames):
            symbols = frames[group[0]].get_chemical_symbols()
            size = max(1, ATOMS_PER_BATCH // len(symbols))
            for first in range(0, len(group), size):
                numbers = group[first : first + size]
                descriptors = self._potential.eval_descriptor(**self._arguments([frames[i] for i in numbers]))
                rows.update(zip(numbers, species_features(descriptors, symbols, elements), strict=True))
        return np.array([rows[number] for number in range(len(frames))], dtype=np.float32)

    def calculator(self) -> DeepmdCalculator:
        """Return an ASE calculator that shares the loaded model."""
        self._keep_neighbours()
        return DeepmdCalculator(self)

    def _keep_neighbours(self) -> None:
        """Let the model remember the neighbours of the last frame: MD moves atoms little from step to step."""
        from pfd_worker.models.verlet_list import VerletList

        evaluator = self._potential.deep_eval
        # deepmd-kit takes strategies by name only, but any by this attribute; None: a model that cannot be given one
        if evaluator._nlist_builder is not None and not isinstance(evaluator._nlist_builder, VerletList):
            evaluator._nlist_builder = VerletList(evaluator._nlist_builder)


class DeepmdCalculator(Calculator):  # type: ignore[misc]
    """ASE calculator over a loaded model: energy, forces and stress."""

    implemented_properties = ["energy", "free_energy", "forces", "stress"]

    def __init__(self, model: DeepmdModel) -> None:
        super().__init__()
        self._model = model

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Evaluate the model once; every property comes with it."""
        super().calculate(atoms, properties, system_changes)
        prediction = self._model.predict([self.atoms])[0]
        self.results = {
            "energy": prediction.energy,
            "free_energy": prediction.energy,
            "forces": prediction.forces,
        }
        if has_virial(self.atoms):
            stress = -prediction.virial / self.atoms.get_volume()
            self.results["stress"] = stress.flat[[0, 4, 8, 5, 2, 1]]

"""Models of deepmd-kit's PyTorch backend (DPA-1, DPA-2, DPA-3, se_e2_a, …)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from numpy.typing import NDArray

from pfd_worker.cells import periodic_cell
from pfd_worker.frames import has_virial
from pfd_worker.models.base import Prediction, model_calculator, species_features
from pfd_worker.models.gpu import atoms_on_gpu
from pfd_worker.models.groups import groups_of_equal_atoms, groups_of_equal_size

if TYPE_CHECKING:
    from pfd_worker.models.verlet_list import VerletList

ATOMS_PER_BATCH = 8192
"""Whose descriptors are held at a time: those of one atom take up to 4 kB, and many frames are reduced to features."""

SMALL_MODEL_PARAMETERS = 100_000
ATOMS_TOGETHER_ON_CPU = 256
"""Of a small model on a CPU. DPA-2 of 0.03 million parameters on one core, ms a frame alone and in a batch: 13 and 4
for 8 atoms (32 frames), 23 and 13 for 32 (8 frames), 29 and 22 for 64 (4 frames). A DPA-3 of 1.3 million: nothing."""

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
        self._neighbours: VerletList | None = None
        self._type_map: list[str] = list(self._potential.get_type_map())
        self._index = {element: number for number, element in enumerate(self._type_map)}

    @property
    def type_map(self) -> list[str]:
        """Elements the model knows, in its own order."""
        return self._type_map

    @property
    def atoms_together(self) -> int:
        """Atoms of all frames up to which one prediction takes less time than one for each."""
        on_gpu = atoms_on_gpu()
        if on_gpu is not None:
            return on_gpu
        parameters = sum(each.numel() for each in self._potential.deep_eval.dp.parameters())
        return ATOMS_TOGETHER_ON_CPU if parameters <= SMALL_MODEL_PARAMETERS else 0

    @property
    def cutoff(self) -> float:
        """Farthest neighbour that an atom sees at once, in Å."""
        return float(self._potential.get_rcut())

    def _arguments(self, frames: Sequence[Atoms]) -> dict[str, Any]:
        first = frames[0]
        return {
            "coords": np.array([atoms.positions.ravel() for atoms in frames]),
            "cells": np.array([periodic_cell(atoms).ravel() for atoms in frames]) if first.pbc.any() else None,
            "atom_types": [[self._index[symbol] for symbol in atoms.get_chemical_symbols()] for atoms in frames],
            "mixed_type": True,
        }

    def predict(self, frames: Sequence[Atoms]) -> list[Prediction]:
        """Return energy, forces and virial of every frame, in the order given; those of equal size go in one batch."""
        results: list[Prediction | None] = [None] * len(frames)
        for numbers in groups_of_equal_size(frames):
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

    def calculator(self) -> Calculator:
        """Return an ASE calculator that shares the loaded model."""
        return model_calculator(lambda atoms: self.predict_moving([atoms])[0])

    def predict_moving(self, frames: Sequence[Atoms]) -> list[Prediction]:
        """Return what `predict` does, but for the last bits, and remember the neighbours for the next call."""
        evaluator = self._potential.deep_eval
        # deepmd-kit takes strategies by name only, but any by this attribute; None: a model that cannot be given one
        search = evaluator._nlist_builder
        if search is None:
            return self.predict(frames)
        if self._neighbours is None:
            from pfd_worker.models.verlet_list import VerletList

            self._neighbours = VerletList(search)
        self._neighbours.begin()
        evaluator._nlist_builder = self._neighbours
        try:
            return self.predict(frames)
        finally:
            evaluator._nlist_builder = search

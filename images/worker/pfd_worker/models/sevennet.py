"""SevenNet's models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from numpy.typing import NDArray

from pfd_worker.frames import has_virial
from pfd_worker.models.base import Prediction, species_features
from pfd_worker.models.gpu import atoms_on_gpu

ATOMS_PER_BATCH = 256
"""Of one evaluation, at least: 7net-0 keeps about 1 MB per atom of a solid for the gradient."""
_READOUT = ("reduce", "readout")
"""Names of the layers after the last interaction begin so."""


class SevennetModel:
    """A checkpoint, loaded once for prediction, descriptors and MD.

    Parameters
    ----------
    path
        As `sevennet_checkpoint.extract_model` and training write it: sevenn unpickles it.
    """

    def __init__(self, path: Path) -> None:
        import torch
        from sevenn.checkpoint import SevenNetCheckpoint

        self._checkpoint: Any = SevenNetCheckpoint(path)
        self.cutoff: float = self._checkpoint.config["cutoff"]
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._network: Any = self._build().eval()
        self._network.set_is_batch_data(True)
        self._atoms_on_gpu = atoms_on_gpu()
        self._atoms_per_batch = max(ATOMS_PER_BATCH, self._atoms_on_gpu or 0)

    def _build(self) -> Any:
        return self._checkpoint.build_model().to(self._device)

    def _batches(self, frames: Sequence[Atoms]) -> Iterator[tuple[list[Atoms], Any]]:
        from sevenn.atom_graph_data import AtomGraphData
        from sevenn.train.dataload import unlabeled_atoms_to_graph
        from torch_geometric.data import Batch

        for part in _parts(frames, self._atoms_per_batch):
            graphs = [AtomGraphData.from_numpy_dict(unlabeled_atoms_to_graph(atoms, self.cutoff)) for atoms in part]
            yield part, Batch.from_data_list(graphs).to(self._device)

    @property
    def atoms_together(self) -> int:
        """Atoms of all frames up to which one prediction takes less time than one for each."""
        return 0 if self._atoms_on_gpu is None else self._atoms_per_batch

    def predict_moving(self, frames: Sequence[Atoms]) -> list[Prediction]:
        """Return what `predict` does: neighbours are not remembered."""
        return self.predict(frames)

    def predict(self, frames: Sequence[Atoms]) -> list[Prediction]:
        """Return energy, forces and virial of every frame, in the order given."""
        predictions: list[Prediction] = []
        for part, batch in self._batches(frames):
            output = self._network(batch)
            energies, forces, stresses = (
                output[key].detach().cpu().numpy().astype(np.float64)
                for key in ("inferred_total_energy", "inferred_force", "inferred_stress")
            )
            ends = np.cumsum([len(atoms) for atoms in part])
            rows = zip(part, energies, np.split(forces, ends[:-1]), stresses, strict=True)
            predictions += [
                Prediction(float(energy), force, _virial(stress, atoms)) for atoms, energy, force, stress in rows
            ]
        return predictions

    def features(self, frames: Sequence[Atoms], elements: Sequence[str]) -> NDArray[np.float32]:
        """Return (n_frames, n_features): mean and spread, over each element's atoms, of what the readout sees."""
        import torch

        rows = []
        for part, batch in self._batches(frames):
            with torch.no_grad():
                data = self._network._preprocess(batch)
                for name, layer in self._network._modules.items():
                    if name.startswith(_READOUT):
                        break
                    data = layer(data)
            descriptors = data["x"].cpu().numpy().astype(np.float64)
            ends = np.cumsum([len(atoms) for atoms in part])
            rows += [
                species_features(one[None], atoms.get_chemical_symbols(), elements)[0]
                for atoms, one in zip(part, np.split(descriptors, ends[:-1]), strict=True)
            ]
        return np.array(rows, dtype=np.float32)

    def calculator(self) -> Calculator:
        """Return an ASE calculator, with a network of its own: one that takes batches takes nothing else."""
        from sevenn.calculator import SevenNetCalculator

        return SevenNetCalculator(self._build(), file_type="model_instance", device=self._device)


def _parts(frames: Sequence[Atoms], most_atoms: int) -> Iterator[list[Atoms]]:
    part: list[Atoms] = []
    for atoms in frames:
        if part and sum(map(len, part)) + len(atoms) > most_atoms:
            yield part
            part = []
        part.append(atoms)
    if part:
        yield part


def _virial(stress: NDArray[np.float64], atoms: Atoms) -> NDArray[np.float64]:
    """Return the (3, 3) virial, in eV, of sevenn's stress: xx, yy, zz, xy, yz, zx of virial over volume."""
    if not has_virial(atoms):
        return np.zeros((3, 3))
    virial: NDArray[np.float64] = stress[[0, 3, 5, 3, 1, 4, 5, 4, 2]].reshape(3, 3) * atoms.get_volume()
    return virial

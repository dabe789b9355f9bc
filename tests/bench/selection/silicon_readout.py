"""What the surrogate learner sees of the silicon pool: features for selection, random features with their gradients.

The learner is linear in random tanh features of the frozen DPA-2 descriptors, summed over atoms: an energy whose forces
are linear in the same weights. Runs in an image that has deepmd-kit.

    silicon_readout.py --pool build/selection-pool
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from deepmd.pt.utils.nlist import extend_input_and_build_neighbor_list

from pfd_worker.frames import energy_of, read_frames
from pfd_worker.models.deepmd import DeepmdModel

FEATURES = 128
ATOMS = 16
FRAMES_AT_A_TIME = 30
SEED = 11


class Readout:
    """Random tanh features of the descriptors of a model, and their gradients."""

    def __init__(self, path: Path, sample: list[Atoms]) -> None:
        self.model = DeepmdModel(path)
        torch_model: Any = self.model._potential.deep_eval.dp.model["Default"]
        self._descriptor = torch_model.atomic_model.descriptor
        self._rcut, self._sel = torch_model.get_rcut(), torch_model.get_sel()
        descriptors = np.concatenate([self._descriptors([frame])[0].detach().numpy()[0] for frame in sample])
        generator = np.random.default_rng(SEED)
        scale = descriptors.std(axis=0)
        weights = generator.normal(0, 1, (descriptors.shape[1], FEATURES)) / np.maximum(scale, 1e-3)[:, None]
        # descriptors that do not vary (the type's embedding) say nothing; the rest is spread over tanh's bend
        weights[scale < 1e-6] = 0.0
        self._weights = torch.tensor(weights / np.sqrt((scale > 1e-6).sum()))
        self._bias = (
            torch.tensor(generator.normal(0, 0.7, FEATURES)) - torch.tensor(descriptors.mean(0)) @ self._weights
        )

    def _descriptors(self, frames: list[Atoms]) -> tuple[torch.Tensor, torch.Tensor]:
        coordinates = torch.tensor(np.array([f.positions for f in frames]), requires_grad=True)
        cells = torch.tensor(np.array([f.cell.array for f in frames]))
        types = torch.zeros(len(frames), len(frames[0]), dtype=torch.long)
        extended, extended_types, mapping, neighbours = extend_input_and_build_neighbor_list(
            coordinates, types, self._rcut, self._sel, mixed_types=True, box=cells
        )
        return self._descriptor(extended, extended_types, neighbours, mapping=mapping)[0], coordinates

    def __call__(self, frames: list[Atoms]) -> tuple[np.ndarray, np.ndarray]:
        """Return energies (n, FEATURES) and forces (n, n_atoms * 3, FEATURES) of every feature."""
        parts = [self._batch(frames[i : i + FRAMES_AT_A_TIME]) for i in range(0, len(frames), FRAMES_AT_A_TIME)]
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])

    def _batch(self, frames: list[Atoms]) -> tuple[np.ndarray, np.ndarray]:
        descriptors, coordinates = self._descriptors(frames)
        energies = torch.tanh(descriptors @ self._weights + self._bias).sum(dim=1)
        forces = []
        for number in range(FEATURES):
            (gradient,) = torch.autograd.grad(energies[:, number].sum(), coordinates, retain_graph=True)
            forces.append(-gradient.reshape(len(frames), -1).numpy().astype(np.float32))
        return energies.detach().numpy(), np.stack(forces, axis=-1)


def write_readout(readout: Readout, frames: list[Atoms], path: Path) -> None:
    """Write all that the learner needs of one trajectory; frames of fewer atoms get rows of zeros."""
    energies, forces = readout(frames)
    true_forces = np.array([frame.get_forces().ravel() for frame in frames], dtype=np.float32)
    missing = 3 * ATOMS - true_forces.shape[1]
    partial = path.with_suffix(".partial.npz")
    np.savez(
        partial,
        strata=np.array([str(frame.info["stratum"]) for frame in frames]),
        features=readout.model.features(frames, ["Si"]),
        atoms=np.array([len(frame) for frame in frames]),
        energy_features=energies,
        force_features=np.pad(forces, ((0, 0), (0, missing), (0, 0))),
        energies=np.array([energy_of(frame) for frame in frames]),
        forces=np.pad(true_forces, ((0, 0), (0, missing))),
    )
    partial.rename(path)


def main(arguments: list[str] | None = None) -> int:
    """Write <trajectory>.npz for every trajectory that has none yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pool", type=Path, required=True, help="folder of silicon_pool.py")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    sample = [frame for path in sorted(options.pool.glob("test-*.extxyz")) for frame in read_frames(path)[::20]]
    readout = Readout(options.pool / "model.pt", sample)
    for path in sorted(options.pool.glob("*-*.extxyz")):
        if path.with_suffix(".npz").exists():
            continue
        write_readout(readout, read_frames(path), path.with_suffix(".npz"))
        print(path.stem, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

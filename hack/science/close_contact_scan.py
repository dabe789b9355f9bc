"""What a model says when two neighbours are pushed together: energy and force between them, by distance.

    close_contact_scan.py --structure si.extxyz --models teacher.pt with=compressed.pth without=other.pth

A table with a column for each model of deepmd-kit (NAME=FILE, or a file): energy above that of the structure as it is
(eV), and the force that pushes the pair apart (eV/Å; negative: it attracts).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import read
from ase.neighborlist import neighbor_list

from pfd_worker.models.deepmd import DeepmdModel
from pfd_worker.models.frozen import FROZEN_SUFFIX, FrozenModel


def open_file(path: Path) -> DeepmdModel:
    """Open a checkpoint or a frozen model."""
    return FrozenModel(path) if path.suffix == FROZEN_SUFFIX else DeepmdModel(path)


def pushed(atoms: Atoms, distance: float) -> tuple[Atoms, int, int, np.ndarray]:
    """Return the structure with its closest pair at a distance in Å, the pair, and the direction between them."""
    first, second, length, vector = neighbor_list("ijdD", atoms, 4.0)
    pair = int(np.argmin(np.where(first < second, length, np.inf)))
    i, j, along = int(first[pair]), int(second[pair]), vector[pair] / length[pair]
    moved = atoms.copy()
    moved.positions[i] += 0.5 * (length[pair] - distance) * along
    moved.positions[j] -= 0.5 * (length[pair] - distance) * along
    return moved, i, j, along


def main(arguments: list[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--structure", type=Path, required=True, help="any file ASE reads; its closest pair is pushed")
    parser.add_argument("--models", nargs="+", required=True, help="[NAME=]FILE …")
    parser.add_argument("--distances", type=float, nargs="+", default=[2.2, 2.0, 1.8, 1.6, 1.4, 1.2], help="in Å")
    options = parser.parse_args(arguments)
    files = {name or Path(file).stem: Path(file) for name, _, file in (m.rpartition("=") for m in options.models)}
    models = {name: open_file(path) for name, path in files.items()}
    structure = read(options.structure)
    start = {name: model.predict([structure])[0].energy for name, model in models.items()}
    print(f"{'Å':>5}" + "".join(f"{name:>24}" for name in models))
    for distance in options.distances:
        atoms, i, j, along = pushed(structure, distance)
        line = f"{distance:5.2f}"
        for name, model in models.items():
            found = model.predict([atoms])[0]
            apart = 0.5 * float(np.dot(found.forces[j] - found.forces[i], along))
            line += f"{found.energy - start[name]:12.2f} eV {apart:5.1f} eV/Å"
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())

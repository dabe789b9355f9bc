"""Labelled frames as deepmd-kit data, there and back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import dpdata
import numpy as np
from ase import Atoms
from ase.data import atomic_numbers

from pfd_worker.cells import periodic_cell
from pfd_worker.frames import energy_of, labelled, virial_of


@dataclass(frozen=True)
class DataFolder:
    """Frames that deepmd-kit may put into one batch."""

    path: Path
    frames: int
    """How many, copies counted."""
    atoms: int
    """In each."""


def write_deepmd_sets(
    frames: Sequence[Atoms], type_map: Sequence[str], folder: Path, copies: Sequence[int] | None = None
) -> list[DataFolder]:
    """Write frames as deepmd/npy/mixed, one folder per number of atoms and elements, with energies, forces and virials.

    A batch is of one folder, so that frames of an alloy fill batches whatever their compositions. deepmd-kit has mixed
    data for type embeddings; its PyTorch models take the types of each frame with se_e2_a as well. Frames of other
    elements are apart: of several processes the first takes statistics, and of each folder it sees a part only, in
    which a rare element would be missing.

    Frames without a virial go into folders of their own: deepmd-kit wants a label in all frames of a folder or in none.
    So do frames without a cell: a folder has one for all of its frames or for none.

    Parameters
    ----------
    frames
        Labelled frames.
    type_map
        Elements of the model, in its order.
    folder
        Where the folders go.
    copies
        How often each frame is there; once by default.

    Returns
    -------
    list of DataFolder
        All of them.
    """
    alike: dict[tuple[str, int, str], list[tuple[dpdata.LabeledSystem, int]]] = {}
    for atoms, number in zip(frames, copies or [1] * len(frames), strict=True):
        virial = virial_of(atoms)
        kind = ("without-virial" if virial is None else "with-virial") + ("" if atoms.pbc.any() else "-without-cell")
        # a frame of its own: dpdata would prefer a stale stress or a free energy it finds in the calculator
        bare = atoms.copy()
        if atoms.pbc.any():
            bare.cell = periodic_cell(atoms)
        bare = labelled(bare, energy_of(atoms), atoms.get_forces(), virial)
        system = dpdata.LabeledSystem(bare, fmt="ase/structure")
        system.convert_to_mixed_type(list(type_map))
        alike.setdefault((kind, len(atoms), "".join(sorted(set(atoms.symbols)))), []).append((system, number))
    folders = []
    for (kind, size, elements), members in sorted(alike.items(), key=lambda group: group[0]):
        rows = np.repeat(np.arange(len(members)), [number for _, number in members])
        written = DataFolder(folder / kind / f"{size}-{elements}", len(rows), size)
        _joined([system for system, _ in members]).sub_system(rows).to_deepmd_npy_mixed(
            str(written.path), set_size=10**9
        )
        folders.append(written)
    return folders


def _joined(systems: list[dpdata.LabeledSystem]) -> dpdata.LabeledSystem:
    """Return frames of as many atoms as one system, in their order.

    Each append copies all that is there: one after another, twice the frames would take four times as long.
    """
    while len(systems) > 1:
        for first, second in zip(systems[::2], systems[1::2], strict=False):
            first.append(second)
        systems = systems[::2]
    return systems[0]


def read_deepmd_set(folder: Path) -> Iterator[Atoms]:
    """Read the labelled frames of one folder of deepmd/npy, of one composition or mixed; without pickles.

    Raises
    ------
    Exception
        Whatever dpdata's reader or NumPy's is led to by the content.
    """
    system = dpdata.LabeledSystem(str(folder), fmt="deepmd/npy").data
    positions, names = system["coords"], system["atom_names"]
    # atoms of mixed data are all of type 0, and each frame has real types of its own
    types = np.broadcast_to(system.get("real_atom_types", system["atom_types"]), positions.shape[:2]).astype(int)
    if types.min() < 0 or types.max() >= len(names):
        raise ValueError(f"types of atoms go from {types.min()} to {types.max()}, and type_map.raw has {len(names)}")
    if unknown := {names[kind] for kind in np.unique(types)} - atomic_numbers.keys():
        raise ValueError(f"type_map.raw names {min(unknown)}, which is no element")
    periodic = not system.get("nopbc", False)
    virials = system.get("virials", [None] * len(positions))
    return (
        labelled(Atoms([names[kind] for kind in kinds], places, cell=cell, pbc=periodic), energy, forces, virial)
        for kinds, places, cell, energy, forces, virial in zip(
            types, positions, system["cells"], system["energies"], system["forces"], virials, strict=True
        )
    )

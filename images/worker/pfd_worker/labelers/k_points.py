"""Meshes of k-points: one for all frames that descend from one structure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from ase import Atoms
from ase.cell import Cell
from numpy.typing import NDArray

from pfd_worker.cells import reference_cell


def k_mesh(cell: NDArray[np.float64], spacing: float) -> list[int]:
    """Return the divisions of a cell's reciprocal one for k-points no farther apart than `spacing`, in 1/Å with 2π."""
    lengths = 2 * math.pi * np.linalg.norm(Cell(cell).reciprocal(), axis=1)
    return [max(1, math.ceil(length / spacing - 1e-6)) for length in lengths]


def mesh_of_another_cell(atoms: Atoms, engine: Mapping[str, Any]) -> list[int] | None:
    """Return the mesh of a frame, if it is another than that of its own cell; None if its cell tells the mesh.

    Parameters
    ----------
    engine
        Settings by the engine's name. Only ABINIT gets a mesh from us, unless `extra` has one.
    """
    if "abinit" not in engine or "ngkpt" in engine["abinit"].get("extra", {}):
        return None
    spacing = engine["abinit"]["kSpacing"]
    mesh = k_mesh(reference_cell(atoms), spacing)
    return None if mesh == k_mesh(atoms.cell.array, spacing) else mesh

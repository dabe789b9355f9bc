"""Supercells of about so many atoms, as compact as the structure allows."""

from __future__ import annotations

import math

import numpy as np
from ase import Atoms

from pfd_worker.cells import cell_heights

_SHAPE_WEIGHT = 1 / 3
"""What a factor in elongation costs against the same factor in atoms: 96 compact atoms are a better 108 than 112 atoms
in a rod."""
_MOST_REPEATS = 64


def supercell_of_size(base: Atoms, size: int) -> Atoms:
    """Repeat a structure along its periodic directions to about `size` atoms.

    Of all repetitions, the one with the smallest |ln(atoms/size)| + ln(longest/shortest cell height)/3 is taken: near
    in number of atoms, and neither rod nor plate.

    Parameters
    ----------
    base
        The structure; not changed. Without a periodic direction it is returned as it is.
    size
        Atoms asked for.

    Returns
    -------
    Atoms
        Its number of atoms may be below or above `size`.
    """
    if not base.pbc.any():
        return base.copy()
    most_cells = math.ceil(2 * size / len(base))
    ranges = [np.arange(1, min(most_cells, _MOST_REPEATS) + 1) if flag else np.ones(1, int) for flag in base.pbc]
    repeats = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1).reshape(-1, 3)
    cells = repeats.prod(axis=1)
    lengths = repeats[:, base.pbc] * cell_heights(base)[base.pbc]
    elongation = lengths.max(axis=1) / lengths.min(axis=1)
    cost = np.abs(np.log(len(base) * cells / size)) + _SHAPE_WEIGHT * np.log(elongation)
    return base.repeat(tuple(int(number) for number in repeats[np.argmin(cost)]))

"""What a structure file can say that bare atoms cannot keep: refused, since labels would be of something else."""

from __future__ import annotations

import numpy as np
from ase import Atoms

FULL = 0.99
"""Occupancies from here on are those of an ordered site, written with rounding."""
SMALLEST_MOMENT = 0.01
"""In Bohr magnetons: less is the noise of an unpolarized calculation."""
SMALLEST_CHARGE = 0.5
"""In e, over all atoms: charges of a force field add up to less."""


def unsupported(atoms: Atoms) -> str | None:
    """Return why a structure is not what its atoms alone would be, None if it is.

    Parameters
    ----------
    atoms
        As ASE read it, with its info and arrays.
    """
    if _is_disordered(atoms):
        return (
            "it has fractional occupancies: give an ordered supercell. If it is one, remove `occupancy` from its header"
        )
    if np.abs(atoms.get_initial_magnetic_moments()).max(initial=0) > SMALLEST_MOMENT:
        return (
            "it has initial magnetic moments, which are not supported yet: labels would be of another magnetic state. "
            "Remove them if the labels may be of the state without"
        )
    charge = float(atoms.get_initial_charges().sum())
    if abs(charge) >= SMALLEST_CHARGE:
        return (
            f"its initial charges add up to {charge:+.1f} e, and charged cells are not supported yet: labels would be "
            "of the neutral one. Remove the charges if that is meant"
        )
    return None


def _is_disordered(atoms: Atoms) -> bool:
    sites = atoms.info.get("occupancy")
    if isinstance(sites, dict):
        return any(len(kinds) > 1 or min(kinds.values()) < FULL for kinds in sites.values())
    # of the PDB reader, one for each atom; zeros stand for none known
    given = np.asarray(atoms.arrays.get("occupancy", []), dtype=float)
    return bool(((given > 0) & (given < FULL)).any())

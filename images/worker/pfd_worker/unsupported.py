"""What a file can say of atoms that bare ones cannot keep: refused, since labels would be of something else."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.data import atomic_masses

FULL = 0.99
"""Occupancies from here on are those of an ordered site, written with rounding."""
SMALLEST_MOMENT = 0.01
"""In Bohr magnetons: less is the noise of an unpolarized calculation."""
_CHARGE_KEYS = ("charge", "total_charge")
"""In the header of an extended XYZ file."""
SMALLEST_CHARGE = 0.5
"""In e, over all atoms: charges of a force field add up to less."""
LARGEST_ROUNDING_OF_MASSES = 0.02
"""Relative. Files round hydrogen's to 1, which is 0.8 % off; lithium 7 is 1.1 % off natural lithium, lithium 6 13 %."""


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
    if has_initial_moments(atoms):
        return (
            "it has initial magnetic moments, which are not supported yet: labels would be of another magnetic state. "
            "Remove them if the labels may be of the state without"
        )
    charge = max((float(atoms.get_initial_charges().sum()), *_told_charges(atoms)), key=abs)
    if abs(charge) >= SMALLEST_CHARGE:
        return (
            f"its charge is {charge:+.1f} e, and charged cells are not supported yet: labels would be of the neutral "
            "one. Remove the charge, or the atoms' charges, if that is meant"
        )
    return None


def has_initial_moments(atoms: Atoms) -> bool:
    """Tell whether atoms are given a magnetic state to begin with."""
    return bool(np.abs(atoms.get_initial_magnetic_moments()).max(initial=0) > SMALLEST_MOMENT)


def has_masses_of_its_own(atoms: Atoms) -> bool:
    """Tell whether atoms are given masses that are not those of their elements, as isotopes are."""
    return not np.allclose(atoms.get_masses(), atomic_masses[atoms.numbers], rtol=LARGEST_ROUNDING_OF_MASSES, atol=0)


def _told_charges(atoms: Atoms) -> list[float]:
    told = [atoms.info.get(key) for key in _CHARGE_KEYS]
    return [float(charge) for charge in told if isinstance(charge, int | float | np.number)]


def _is_disordered(atoms: Atoms) -> bool:
    sites = atoms.info.get("occupancy")
    if isinstance(sites, dict):
        return any(len(kinds) > 1 or min(kinds.values()) < FULL for kinds in sites.values())
    # of the PDB reader, one for each atom; zeros stand for none known
    given = np.asarray(atoms.arrays.get("occupancy", []), dtype=float)
    return bool(((given > 0) & (given < FULL)).any())

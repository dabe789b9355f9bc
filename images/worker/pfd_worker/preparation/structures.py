"""Structures that the user gave: read in any format ASE knows, and checked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import iread
from ase.io.formats import UnknownFileTypeError, filetype

from pfd_operator.contract.result import Reason
from pfd_worker.cells import periodic_cell
from pfd_worker.errors import StageError, user_error
from pfd_worker.input_limits import STRUCTURES, TooLargeError
from pfd_worker.selection.overlaps import closest_overlap
from pfd_worker.unsupported import has_masses_of_its_own, unsupported

OVERLAP_FACTOR = 0.5
"""Given structures may be compressed, so this is looser than the default of selection.minDistanceFactor."""


def read_structures(path: Path, system: str) -> list[Atoms]:
    """Read the structures of one system and refuse what MD could not start from.

    Parameters
    ----------
    path
        The file; its name tells the format.
    system
        Name of the system, for messages.

    Raises
    ------
    StageError
        StructureUnreadable, StructureEmpty or AtomsOverlap, naming system, frame and pair.
    """
    where = f"system {system}: {path.name}"
    try:
        structures = list(_read(path))
    except TooLargeError as error:
        raise user_error(Reason.STRUCTURE_UNREADABLE, f"{where} {error}.") from error
    except (UnknownFileTypeError, StopIteration) as error:
        raise _unreadable(where, f"ASE does not know the format of this file ({error})") from error
    except Exception as error:  # ASE's readers raise whatever the text leads them to
        raise _unreadable(where, f"{type(error).__name__}: {error}") from error
    if not structures:
        raise user_error(Reason.STRUCTURE_EMPTY, f"{where} holds no structure.")
    return [_checked(atoms, number, where) for number, atoms in enumerate(structures)]


def _read(path: Path) -> Iterator[Atoms]:
    # which ASE knows in capitals only
    known_as = "vasp" if path.name in ("poscar", "contcar") else filetype(str(path))
    STRUCTURES.check_file(path)
    if known_as == "extxyz":
        STRUCTURES.check_extended_xyz(path)
    return STRUCTURES.counted(iread(path, index=":", format=known_as))


def _unreadable(where: str, why: str) -> StageError:
    return user_error(
        Reason.STRUCTURE_UNREADABLE,
        f"{where} cannot be read: {why}. Give a file that ASE reads, under a name that tells its format: "
        "x.extxyz, x.cif, POSCAR, x.vasp, …",
    )


def _checked(atoms: Atoms, number: int, where: str) -> Atoms:
    if len(atoms) == 0:
        raise user_error(Reason.STRUCTURE_EMPTY, f"{where}, frame {number}: no atoms.")
    why = unsound(atoms) or unsupported(atoms)
    if why is not None:
        raise user_error(Reason.STRUCTURE_UNREADABLE, f"{where}, frame {number} cannot be used: {why}.")
    # ASE's builders of surfaces leave the vector out along which there are no periods
    cell = periodic_cell(atoms) if atoms.pbc.any() and atoms.cell.rank < 3 else atoms.cell
    bare = Atoms(atoms.numbers, positions=atoms.positions, cell=cell, pbc=atoms.pbc)
    overlap = closest_overlap(bare, OVERLAP_FACTOR)
    if overlap is not None:
        raise user_error(
            Reason.ATOMS_OVERLAP,
            f"{where}, frame {number}: {overlap.describe(bare)} ({OVERLAP_FACTOR:g} × the sum of covalent radii). "
            "Look for doubled atoms, a wrong cell or wrong units.",
        )
    bare.info = {"frame": number, "own_masses": has_masses_of_its_own(atoms)}
    return right_handed(bare)


def unsound(atoms: Atoms) -> str | None:
    """Return why nothing can be computed of what a file holds, None if something can."""
    if len(atoms) == 0:
        return "it has no atoms"
    if not np.isfinite(atoms.positions).all() or not np.isfinite(atoms.cell.array).all():
        return "its positions or its cell are not finite numbers"
    if (atoms.numbers < 1).any():
        return "some of its atoms are of no element (X)"
    if np.linalg.matrix_rank(atoms.cell.array[atoms.pbc], tol=1e-3) < atoms.pbc.sum():
        return (
            f"where it is periodic (pbc {atoms.pbc.tolist()}), its cell vectors are zero or parallel. Give it a cell, "
            "or pbc F where it has no periods (of deepmd/npy data a file nopbc)"
        )
    return None


def right_handed(atoms: Atoms) -> Atoms:
    """Return atoms whose cell vectors are right-handed: the same crystal, its three vectors turned round if need be.

    deepmd-kit's heights of a left-handed cell are negative (`b_to_face_distance`), and it finds no periodic image of
    any atom. None is exchanged for another: supercells and Miller indices count along the vectors that users give.
    """
    if atoms.cell.handedness >= 0:
        return atoms
    turned = atoms.copy()
    turned.set_cell(-atoms.cell.array)
    return turned

"""The starts of a system: slabs and supercells of its structures, varied at random."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.build import surface

from pfd_operator.contract.result import Reason
from pfd_operator.contract.systems import Perturb
from pfd_worker.errors import user_error
from pfd_worker.preparation.structures import OVERLAP_FACTOR
from pfd_worker.selection.overlaps import closest_overlap

MAX_DRAWS = 50


def unvaried(structures: list[Atoms], perturb: Perturb, system: str) -> list[Atoms]:
    """Return what the starts of one system are variations of: slabs and supercells of its structures, in this order.

    Parameters
    ----------
    structures
        As `read_structures` returns them.
    perturb
        Which slab and supercell. Miller indices are those of the given cell's own vectors: of primitive silicon
        (1, 0, 0) is what (1, 1, 1) is of the cubic cell.
    system
        Name of the system, kept in info with `frame`, `slab` and `reference_cell`.

    Raises
    ------
    StageError
        StructureUnreadable or StructureEmpty, if there is no such slab, or one atom or less beside the vacancies.
    """
    return [_unvaried(structure, perturb, system) for structure in structures]


def perturbed(structures: list[Atoms], perturb: Perturb, system: str, seed: int) -> list[Atoms]:
    """Return the varied starts of one system: strain, vacancies, displacements, in this order.

    Parameters
    ----------
    structures
        As `unvaried` returns them; their info is kept.
    perturb
        How they are varied.
    system
        Name of the system, for messages.
    seed
        The same seed gives the same starts. Info says of each `start` (running number) and `variation`.

    Raises
    ------
    StageError
        AtomsOverlap, if displacements of this size bring atoms together however they are drawn.
    """
    rng = np.random.default_rng(seed)
    starts: list[Atoms] = []
    for structure in structures:
        for variation in range(perturb.count):
            atoms = _draw(structure, perturb, rng, system)
            atoms.info |= {"start": len(starts), "variation": variation}
            starts.append(atoms)
    return starts


def _unvaried(structure: Atoms, perturb: Perturb, system: str) -> Atoms:
    atoms = structure
    if perturb.slab is not None:
        slab = perturb.slab
        if not atoms.pbc.all():
            raise user_error(
                Reason.STRUCTURE_UNREADABLE,
                f"system {system}: perturb.slab cuts a surface from a crystal, but frame {structure.info['frame']} is "
                "not periodic along all three vectors. Give its bulk, or leave perturb.slab out.",
            )
        atoms = surface(atoms, slab.miller, slab.layers, vacuum=slab.vacuum, periodic=True)
    atoms = atoms.repeat(perturb.supercell)
    _check_size(atoms, structure, perturb, system)
    atoms.info = {
        "system": system,
        "frame": structure.info["frame"],
        "slab": perturb.slab is not None,
        "reference_cell": atoms.cell.array,
    }
    return atoms


def _check_size(atoms: Atoms, structure: Atoms, perturb: Perturb, system: str) -> None:
    """Refuse a cell that has too few atoms for its vacancies, or that they leave a single one of."""
    if perturb.vacancies >= len(atoms):
        raise user_error(
            Reason.STRUCTURE_EMPTY,
            f"system {system}: perturb.vacancies is {perturb.vacancies}, but the cell has {len(atoms)} atoms only. "
            "Enlarge perturb.supercell or remove fewer atoms.",
        )
    if perturb.vacancies > len(removable := _removable(atoms, perturb)):
        elements = ", ".join(perturb.vacancy_elements or ())
        raise user_error(
            Reason.STRUCTURE_EMPTY,
            f"system {system}: perturb.vacancies is {perturb.vacancies}, but the cell of frame "
            f"{structure.info['frame']} ({atoms.get_chemical_formula()}) has {len(removable)} atoms of "
            f"perturb.vacancyElements ({elements}). Enlarge perturb.supercell, remove fewer, or name other elements.",
        )
    if len(atoms) - perturb.vacancies == 1:
        mend = "Set perturb.supercell, to [3, 3, 3] for example" if atoms.pbc.any() else "Leave it out"
        raise user_error(
            Reason.STRUCTURE_EMPTY,
            f"system {system}: a start made of frame {structure.info['frame']} ({structure.get_chemical_formula()}) is "
            f"a single atom, on which no force acts: its errors would be zero with any model. {mend}.",
        )


def _removable(atoms: Atoms, perturb: Perturb) -> list[int]:
    """Return the numbers of the atoms that may be missing."""
    elements = perturb.vacancy_elements
    return [atom for atom, symbol in enumerate(atoms.symbols) if elements is None or symbol in elements]


def _draw(base: Atoms, perturb: Perturb, rng: np.random.Generator, system: str) -> Atoms:
    closest = ""
    for _ in range(MAX_DRAWS):
        atoms = base.copy()
        if atoms.pbc.all() and perturb.slab is None:
            strain = rng.uniform(-perturb.strain, perturb.strain, (3, 3))
            atoms.set_cell(atoms.cell.array @ (np.eye(3) + (strain + strain.T) / 2), scale_atoms=True)
        if perturb.vacancies:
            removable = _removable(atoms, perturb)
            drawn = rng.choice(len(removable), perturb.vacancies, replace=False)
            del atoms[sorted(removable[place] for place in map(int, drawn))]
        atoms.positions += rng.normal(0, perturb.displacement, atoms.positions.shape)
        overlap = closest_overlap(atoms, OVERLAP_FACTOR)
        if overlap is None:
            return atoms
        closest = overlap.describe(atoms)
    raise user_error(
        Reason.ATOMS_OVERLAP,
        f"system {system}: with perturb.displacement {perturb.displacement:g} Å, {closest} in "
        f"{MAX_DRAWS} draws out of {MAX_DRAWS}. Lower perturb.displacement.",
    )

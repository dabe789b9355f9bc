"""Which frames of the teacher's DFT hold-out a student can be measured on."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ase import Atoms

from pfd_operator.contract.text import first_of


def frames_of_the_student(
    frames: Sequence[Atoms], elements: Collection[str], systems: Collection[str]
) -> tuple[list[Atoms], str | None]:
    """Return the frames of the job's own materials: the teacher may have learned others, too.

    Parameters
    ----------
    frames
        The teacher's DFT hold-out.
    elements
        Those that the student knows.
    systems
        Names of the job's systems.

    Returns
    -------
    list of Atoms, str or None
        The frames, and why there is none.
    """
    of_systems = [atoms for atoms in frames if str(atoms.info.get("system")) in systems]
    if not of_systems:
        return [], f"no frame of the teacher's DFT hold-out is of this job's systems ({first_of(sorted(systems))})"
    kept = [atoms for atoms in of_systems if set(atoms.get_chemical_symbols()) <= set(elements)]
    if not kept:
        known = first_of(sorted(elements))
        return [], f"every frame of the teacher's DFT hold-out has elements besides the student's ({known})"
    return kept, None

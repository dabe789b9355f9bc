"""Cells: those that MD must leave as they are, and those that are short beside a model's cutoff."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase import Atoms

from pfd_operator.contract.result import Caution, CautionReason
from pfd_operator.contract.text import first_of
from pfd_worker.cells import cell_heights
from pfd_worker.frames import has_virial


def keeps_its_cell(atoms: Atoms) -> bool:
    """Tell whether MD of a start has constant volume whatever is asked: constant pressure would close a slab's vacuum.

    Parameters
    ----------
    atoms
        A start; `slab` in its info says that it is one. What has no virial has no pressure.
    """
    return bool(atoms.info.get("slab", False)) or not has_virial(atoms)


def without_pressure(starts: Sequence[Atoms]) -> list[str]:
    """Return the systems all of whose starts keep their cell."""
    moving = {str(atoms.info["system"]) for atoms in starts if not keeps_its_cell(atoms)}
    return sorted({str(atoms.info["system"]) for atoms in starts} - moving)


def height(atoms: Atoms) -> float:
    """Return the smallest of the heights in the periodic directions, in Å; infinite without any."""
    return float(cell_heights(atoms)[atoms.pbc].min(initial=np.inf))


def short_cells(
    frames: Sequence[Atoms], cutoff: float, reason: CautionReason = CautionReason.SHORT_CELLS
) -> Caution | None:
    """Return which systems have cells shorter than twice the cutoff; None if none has.

    Parameters
    ----------
    frames
        With the name of their system in `info`.
    cutoff
        Of the model, in Å; 0 if it is not known.
    reason
        Of the remark: each stage that makes one takes back its own.
    """
    shortest: dict[str, float] = {}
    for atoms in frames:
        system = str(atoms.info["system"])
        shortest[system] = min(shortest.get(system, float("inf")), height(atoms))
    short = sorted((length, system) for system, length in shortest.items() if length < 2 * cutoff)
    if not short:
        return None
    named = first_of([f"{system} {length:.1f} Å" for length, system in short])
    message = (
        f"cells shorter than twice the model's cutoff of {cutoff:g} Å: {named}. It works, but MD in them has "
        "finite-size effects (phonons, melting, diffusion): check with perturb.supercell"
    )
    return Caution(reason=reason, message=message)

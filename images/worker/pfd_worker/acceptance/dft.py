"""Frames labelled by DFT that teacher and student are measured on."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from ase import Atoms

from pfd_operator.contract.result import Caution, CautionReason
from pfd_operator.contract.text import first_of


@dataclass(frozen=True)
class DftFrames:
    """What there is of such frames."""

    frames: Sequence[Atoms] = ()
    why_none: str | None = None
    """Why there is none, if there could be."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Of the user's own, address → sha256: their zero of energy may be another than the teacher's. Empty: the frames
    are of the teacher's own hold-out."""
    cautions: Sequence[Caution | None] = ()
    """On what is left out."""


NO_DFT = DftFrames()


def frames_of_the_student(
    frames: Sequence[Atoms], source: str, elements: Collection[str], systems: Collection[str] | None = None
) -> DftFrames:
    """Return the frames that a student can predict.

    Parameters
    ----------
    frames
        Labelled by DFT.
    source
        Where they are from, in words.
    elements
        Those that the student knows.
    systems
        Names of the job's systems, where frames may be of other materials. None: they are not.
    """
    mine = [atoms for atoms in frames if systems is None or str(atoms.info.get("system")) in systems]
    if systems is not None and not mine:
        return DftFrames(why_none=f"no frame of {source} is of this job's systems ({first_of(sorted(systems))})")
    kept = [atoms for atoms in mine if set(atoms.get_chemical_symbols()) <= set(elements)]
    known = first_of(sorted(elements))
    return DftFrames(
        kept,
        why_none=None if kept else f"no frame of {source} is of the student's elements alone ({known})",
        cautions=[_left_out(len(mine) - len(kept), len(mine), source, known)],
    )


def _left_out(number: int, frames: int, source: str, known: str) -> Caution | None:
    if not number:
        return None
    message = f"{number} of {frames} frames of {source} are left out: other elements than the student's ({known})"
    return Caution(reason=CautionReason.DFT_FRAMES_LEFT_OUT, message=message)

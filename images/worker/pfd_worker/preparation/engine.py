"""What the labeler needs of the start structures."""

from __future__ import annotations

from collections.abc import Sequence

from ase import Atoms

from pfd_operator.contract.engine import AbinitEngine, Engine
from pfd_operator.contract.program import PLANE_WAVES
from pfd_operator.contract.result import Reason
from pfd_worker.errors import user_error


def check_engine(engine: Engine | None, starts: Sequence[Atoms]) -> None:
    """Refuse starts that the engine cannot label, or would label as something else.

    Parameters
    ----------
    engine
        What labels; None if it is the model.
    starts
        With `system` in info.

    Raises
    ------
    StageError
        PseudopotentialMissing or StructureUnreadable, naming the system.
    """
    if engine is not None and engine.abinit is not None:
        for atoms in starts:
            _check_pseudopotentials(engine.abinit, atoms)
            _check_periodicity(atoms, "abinit")
    if engine is not None and engine.program is not None and engine.program.output.format in PLANE_WAVES:
        for atoms in starts:
            _check_periodicity(atoms, "program")


def _check_pseudopotentials(settings: AbinitEngine, atoms: Atoms) -> None:
    given = settings.pseudopotentials
    for symbol in sorted(set(atoms.get_chemical_symbols()) - set(given)):
        raise user_error(
            Reason.PSEUDOPOTENTIAL_MISSING,
            f"system {atoms.info['system']} contains {symbol}, for which "
            f"spec.labeling.engine.abinit.pseudopotentials names no file (it has {', '.join(sorted(given))}).",
        )


def _check_periodicity(atoms: Atoms, engine: str) -> None:
    """Plane waves repeat whatever they are given: labels of a molecule would be those of a crystal of it."""
    if not atoms.pbc.all():
        periodic = " ".join("T" if flag else "F" for flag in atoms.pbc)
        raise user_error(
            Reason.STRUCTURE_UNREADABLE,
            f"system {atoms.info['system']} is not periodic along all three vectors (pbc {periodic}), and "
            f"spec.labeling.engine.{engine} computes nothing else. Give a box with vacuum and pbc T T T, or choose "
            "the engine xtb or ase.",
        )

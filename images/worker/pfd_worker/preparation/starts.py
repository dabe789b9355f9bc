"""Start structures: read and varied, or taken from another job."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from ase import Atoms

from pfd_operator.contract.digest import seed_of
from pfd_operator.contract.result import Caution, CautionReason, Reason
from pfd_operator.contract.stage import PreparedSystem, PrepareParams
from pfd_operator.contract.text import first_of
from pfd_worker import stage_files
from pfd_worker.errors import user_error
from pfd_worker.frames import read_frames
from pfd_worker.input_limits import STRUCTURES
from pfd_worker.preparation.structures import read_structures
from pfd_worker.preparation.variations import perturbed, unvaried
from pfd_worker.stage_context import StageContext
from pfd_worker.store.manifests import sha256_of

LARGEST_DISPLACEMENT_OF_HYDROGEN_ANGSTROM = 0.05


def starts_of(
    context: StageContext, params: PrepareParams, digests: dict[str, str], with_masses: set[str]
) -> tuple[list[Atoms], list[Atoms]]:
    """Return the structures as they are given, slabs and supercells made of them, and the start structures varied.

    Parameters
    ----------
    digests
        Takes the sha256 of every file read.
    with_masses
        Takes the systems of which a structure has masses of its own.

    Raises
    ------
    StageError
        StructureUnreadable, StructureEmpty or AtomsOverlap, naming system, frame and pair.
    """
    if params.starts is not None:
        return _inherited(context, params.starts, digests)
    structures: list[Atoms] = []
    starts: list[Atoms] = []
    for system in params.systems:
        path = _structure_file(context, system)
        digests[f"systems/{system.name}"] = sha256_of(path)
        given = read_structures(path, system.name)
        if any(atoms.info["own_masses"] for atoms in given):
            with_masses.add(f"system {system.name}")
        mine = unvaried(given, system.perturb, system.name)
        structures += mine
        starts += perturbed(mine, system.perturb, system.name, seed_of(context.spec.seed, "perturb", system.name))
    return structures, starts


def masses_not_taken(sources: Collection[str]) -> Caution | None:
    """Return a remark on systems and files with masses of their own: whoever gives isotopes awaits their diffusion."""
    if not sources:
        return None
    return Caution(
        reason=CautionReason.MASSES,
        message=f"masses that are not the elements' are in {first_of(sorted(sources))}, and are not taken: MD moves "
        "atoms by the standard masses. Labels do not depend on them, nor do means at equilibrium; the pace of MD does",
    )


def large_displacement(systems: Sequence[PreparedSystem], structures: Sequence[Atoms]) -> Caution | None:
    """Return a remark on displacements too large for hydrogen: starts are then far hotter than what MD is run at."""
    with_hydrogen = {str(atoms.info["system"]) for atoms in structures if "H" in atoms.symbols}
    shaken = [
        f"{system.name} {system.perturb.displacement:g} Å"
        for system in systems
        if system.name in with_hydrogen and system.perturb.displacement > LARGEST_DISPLACEMENT_OF_HYDROGEN_ANGSTROM
    ]
    if not shaken:
        return None
    return Caution(
        reason=CautionReason.LARGE_DISPLACEMENT,
        message=f"perturb.displacement is large for hydrogen: {first_of(shaken)}. At 0.1 Å a stretched O–H bond holds "
        "about 0.5 eV, with which AIMD, exploration and hold-out begin. 0.03 Å would do",
    )


def _structure_file(context: StageContext, system: PreparedSystem) -> Path:
    if not system.structures.startswith("/"):
        return context.fetch_uri(
            system.structures, f"system {system.name}, structures.uri", Reason.STRUCTURE_UNREADABLE, STRUCTURES
        )
    path = Path(system.structures)
    if not path.is_file():
        raise user_error(
            Reason.STRUCTURE_UNREADABLE,
            f"system {system.name}: there is no file {path.name}. The job's namespace has no ConfigMap of the name "
            f"given in structures.configMap, or that one has no key {path.name}. kubectl describe configmap NAME shows "
            "which; once it is there, spec.restart with a new id begins again.",
        )
    return path


def _inherited(context: StageContext, manifest_uri: str, digests: dict[str, str]) -> tuple[list[Atoms], list[Atoms]]:
    """Take the starts of another job's prepare stage: its hold-out and ours then come from the same structures."""
    structures, starts = (
        context.fetch_from(manifest_uri, name) for name in (stage_files.STRUCTURES, stage_files.STARTS)
    )
    digests["starts"] = sha256_of(starts)
    return read_frames(structures), read_frames(starts)

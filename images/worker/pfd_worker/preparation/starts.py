"""Start structures: read and varied, or taken from another job."""

from __future__ import annotations

from pathlib import Path

from ase import Atoms

from pfd_operator.contract.digest import seed_of
from pfd_operator.contract.result import ExitCode, Reason
from pfd_operator.contract.stage import PreparedSystem, PrepareParams
from pfd_worker import stage_files
from pfd_worker.errors import StageError
from pfd_worker.frames import read_frames
from pfd_worker.stage_context import StageContext
from pfd_worker.store.manifests import sha256_of
from pfd_worker.structures import perturbed, read_structures


def starts_of(
    context: StageContext, params: PrepareParams, digests: dict[str, str]
) -> tuple[list[Atoms], dict[str, dict[str, int]]]:
    """Return the varied start structures, and for each system how many there are.

    Parameters
    ----------
    digests
        Takes the sha256 of every file read.

    Raises
    ------
    StageError
        StructureUnreadable, StructureEmpty or AtomsOverlap, naming system, frame and pair.
    """
    if params.starts is not None:
        return _inherited(context, params.starts, digests)
    starts: list[Atoms] = []
    systems = {}
    for system in params.systems:
        path = _structure_file(context, system)
        digests[f"systems/{system.name}"] = sha256_of(path)
        given = read_structures(path, system.name)
        varied = perturbed(given, system.perturb, system.name, seed_of(context.spec.seed, "perturb", system.name))
        starts += varied
        systems[system.name] = {"structures": len(given), "starts": len(varied), "atoms": len(varied[0])}
    return starts, systems


def _structure_file(context: StageContext, system: PreparedSystem) -> Path:
    if not system.structures.startswith("/"):
        return context.fetch_uri(
            system.structures, f"system {system.name}, structures.uri", Reason.STRUCTURE_UNREADABLE
        )
    path = Path(system.structures)
    if not path.is_file():
        raise StageError(
            ExitCode.USER_ERROR,
            Reason.STRUCTURE_UNREADABLE,
            f"system {system.name}: there is no file {path.name}. The job's namespace has no ConfigMap of the name "
            f"given in structures.configMap, or that one has no key {path.name}. kubectl describe configmap NAME shows "
            "which; once it is there, spec.restart with a new id begins again.",
        )
    return path


def _inherited(
    context: StageContext, manifest_uri: str, digests: dict[str, str]
) -> tuple[list[Atoms], dict[str, dict[str, int]]]:
    """Take the starts of another job's prepare stage: its hold-out and ours then come from the same structures."""
    path = context.fetch_from(manifest_uri, stage_files.STARTS)
    digests["starts"] = sha256_of(path)
    starts = read_frames(path)
    systems: dict[str, dict[str, int]] = {}
    for atoms in starts:
        mine = systems.setdefault(str(atoms.info["system"]), {"structures": 0, "starts": 0, "atoms": len(atoms)})
        mine["starts"] += 1
        mine["structures"] = max(mine["structures"], 1 + int(atoms.info["frame"]))
    return starts, systems

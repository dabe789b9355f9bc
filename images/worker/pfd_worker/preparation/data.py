"""Labelled frames that exist already."""

from __future__ import annotations

from pathlib import Path

from ase import Atoms

from pfd_operator.contract.result import ExitCode, Reason
from pfd_operator.contract.stage import PrepareParams
from pfd_worker.errors import StageError
from pfd_worker.frames import energy_of, is_labelled, labelled, read_frames, virial_of
from pfd_worker.stage_context import StageContext
from pfd_worker.store.manifests import sha256_of


def given_data(context: StageContext, params: PrepareParams, digests: dict[str, str]) -> list[Atoms]:
    """Return the labelled frames the user gave, checked; `digests` takes the sha256 of every file read.

    Raises
    ------
    StageError
        DataInvalid, naming file and frame.
    """
    frames: list[Atoms] = []
    for number, data in enumerate(params.data):
        path = context.fetch_uri(data.uri)
        digests[f"data/{number}"] = sha256_of(path)
        frames += [_checked_data(atoms, row, f"spec.data[{number}]") for row, atoms in enumerate(_read(path, number))]
    return frames


def _read(path: Path, number: int) -> list[Atoms]:
    try:
        frames = read_frames(path)
    except Exception as error:  # ASE's reader raises whatever the text leads it to
        raise _invalid(f"spec.data[{number}]: {path.name} is not extended XYZ: {error}") from error
    if not frames:
        raise _invalid(f"spec.data[{number}]: {path.name} holds no frame")
    return frames


def _invalid(message: str) -> StageError:
    return StageError(ExitCode.USER_ERROR, Reason.DATA_INVALID, f"{message}.")


def _checked_data(atoms: Atoms, row: int, where: str) -> Atoms:
    if not is_labelled(atoms):
        raise _invalid(
            f"{where}, frame {row} ({atoms.get_chemical_formula()}): energy and forces are needed and must be finite; "
            "name them energy (eV) and forces (eV/Å)"
        )
    frame = labelled(atoms, energy_of(atoms), atoms.get_forces(), virial_of(atoms))
    kept = {"virial": frame.info["virial"]} if "virial" in frame.info else {}
    frame.info = {**kept, "system": "data", "stratum": "data", "purpose": "training", "trajectory": where}
    return frame

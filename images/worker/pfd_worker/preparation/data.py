"""Labelled frames that exist already."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ase import Atoms

from pfd_operator.contract.result import ExitCode, Reason
from pfd_operator.contract.stage import PrepareParams
from pfd_worker.errors import StageError
from pfd_worker.frames import GIVEN, energy_of, is_labelled, labelled, read_frames, virial_of
from pfd_worker.stage_context import StageContext
from pfd_worker.store.manifests import sha256_of
from pfd_worker.structures import right_handed
from pfd_worker.unsupported import unsupported


def given_data(context: StageContext, params: PrepareParams, digests: dict[str, str]) -> list[Atoms]:
    """Return the labelled frames the user gave, checked; `digests` takes the sha256 of every file read.

    Raises
    ------
    StageError
        DataInvalid, naming file and frame.
    """
    frames: list[Atoms] = []
    for number, data in enumerate(params.data):
        path = context.fetch_uri(data.uri, f"spec.data[{number}].uri", Reason.DATA_INVALID)
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
    frame = f"{where}, frame {row} ({atoms.get_chemical_formula()})"
    dropped = unsupported(atoms)
    if dropped is not None:
        raise _invalid(f"{frame} cannot be used: {dropped}")
    _name_virial(atoms, frame)
    if not is_labelled(atoms):
        raise _invalid(
            f"{frame}: energy and forces are needed and, like the virial, must be finite; "
            "name them energy (eV) and forces (eV/Å)"
        )
    bare = right_handed(atoms.copy())
    bare.info = {"system": "data", "stratum": GIVEN, "purpose": "training", "trajectory": where}
    return labelled(bare, energy_of(atoms), atoms.get_forces(), virial_of(atoms))


def _name_virial(atoms: Atoms, frame: str) -> None:
    """Rename what data sets of GAP and MACE call `virials`: -V*stress in eV, like our `virial`."""
    if "virials" not in atoms.info:
        return
    virials = np.asarray(atoms.info.pop("virials"))
    if virials.size != 9 or not np.issubdtype(virials.dtype, np.number):
        raise _invalid(f"{frame}: `virials` must be the nine components of -V·stress, in eV")
    virials = virials.astype(float).reshape(3, 3)
    other = virial_of(atoms)
    if other is not None and not np.allclose(virials, other, rtol=1e-2, atol=1e-2):
        raise _invalid(
            f"{frame}: `virials` is not the virial that its virial or stress gives (-V·stress: the stress in eV/Å³, "
            "negative under pressure, virials in eV). Keep one of them"
        )
    atoms.info["virial"] = virials

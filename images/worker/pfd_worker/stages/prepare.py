"""Prepare: check and resolve everything the user gave, before anything costs a GPU or a label."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import cast

import numpy as np
from ase import Atoms

from pfd_operator.contract.digest import digest_of, seed_of
from pfd_operator.contract.result import ExitCode, Reason
from pfd_operator.contract.stage import PreparedSystem, PrepareParams
from pfd_worker.errors import StageError
from pfd_worker.frames import energy_of, is_labelled, labelled, read_frames, virial_of, write_frames
from pfd_worker.models.checkpoint import CheckpointInfo, extract_branch
from pfd_worker.models.deepmd import DeepmdModel
from pfd_worker.pretrained import fetch_model
from pfd_worker.stage_context import StageContext, StageOutput
from pfd_worker.structures import perturbed, read_structures
from pfd_worker.training.settings import base_input, check_input


def run(context: StageContext) -> StageOutput:
    """Check model, branch, elements, structures, pseudopotentials, data and training input; write perturbed starts."""
    params = cast(PrepareParams, context.spec.params)
    folder = context.workdir
    files = {name: folder / name for name in ("model.pt", "starts.extxyz", "deepmd_input.json")}
    digests: dict[str, str] = {}

    starts, systems = _starts(context, params, digests)
    data = _data(context, params, digests)
    elements = sorted({symbol for atoms in [*starts, *data] for symbol in atoms.get_chemical_symbols()})
    _check_pseudopotentials(params, starts)
    context.progress(30, "structures read")

    checkpoint = fetch_model(context, params.model)
    digests["model"] = _sha256(checkpoint)
    info = extract_branch(checkpoint, params.model.branch, files["model.pt"])
    _check_elements(info, starts, data)
    settings = base_input(params.training, info.model_section)
    check_input(settings)
    files["deepmd_input.json"].write_text(json.dumps(settings, indent=1))
    context.progress(70, "model and training input checked")

    _check_model_runs(files["model.pt"], starts)
    write_frames(files["starts.extxyz"], starts)
    if params.data:
        files["data.extxyz"] = folder / "data.extxyz"
        write_frames(files["data.extxyz"], data)
    return StageOutput(
        files=files,
        summary={
            "type_map": info.type_map,
            "elements": elements,
            "unobserved_elements": sorted(set(elements) - set(info.observed_elements)),
            "branch": params.model.branch,
            "branches": info.branches,
            "family": "deepmd",
            "systems": systems,
            "data_frames": len(data),
            "inputs_sha256": digests,
        },
        counts={"starts": len(starts), "data": len(data)},
        digest=digest_of([context.spec.digest, digests]),
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _starts(
    context: StageContext, params: PrepareParams, digests: dict[str, str]
) -> tuple[list[Atoms], dict[str, dict[str, int]]]:
    starts: list[Atoms] = []
    systems = {}
    for system in params.systems:
        path = _structure_file(context, system)
        digests[f"systems/{system.name}"] = _sha256(path)
        given = read_structures(path, system.name)
        varied = perturbed(given, system.perturb, system.name, seed_of(context.spec.seed, "perturb", system.name))
        starts += varied
        systems[system.name] = {"structures": len(given), "starts": len(varied), "atoms": len(varied[0])}
    return starts, systems


def _structure_file(context: StageContext, system: PreparedSystem) -> Path:
    if not system.structures.startswith("/"):
        return context.fetch_uri(system.structures)
    path = Path(system.structures)
    if not path.is_file():
        raise StageError(
            ExitCode.USER_ERROR,
            Reason.STRUCTURE_UNREADABLE,
            f"system {system.name}: there is no file {path.name}. Is the key in the ConfigMap spelled like this?",
        )
    return path


def _data(context: StageContext, params: PrepareParams, digests: dict[str, str]) -> list[Atoms]:
    frames: list[Atoms] = []
    for number, data in enumerate(params.data):
        path = context.fetch_uri(data.uri)
        digests[f"data/{number}"] = _sha256(path)
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


def _check_pseudopotentials(params: PrepareParams, starts: list[Atoms]) -> None:
    if params.engine.abinit is None:
        return
    given = params.engine.abinit.pseudopotentials
    for atoms in starts:
        for symbol in sorted(set(atoms.get_chemical_symbols())):
            if symbol not in given:
                raise StageError(
                    ExitCode.USER_ERROR,
                    Reason.PSEUDOPOTENTIAL_MISSING,
                    f"system {atoms.info['system']} contains {symbol}, for which "
                    f"spec.labeling.engine.abinit.pseudopotentials names no file (it has {', '.join(sorted(given))}).",
                )


def _check_elements(info: CheckpointInfo, starts: list[Atoms], data: list[Atoms]) -> None:
    for atoms in [*starts, *data]:
        for symbol in sorted(set(atoms.get_chemical_symbols())):
            if symbol not in info.type_map:
                known = ", ".join(info.type_map[:40]) + (", …" if len(info.type_map) > 40 else "")
                raise StageError(
                    ExitCode.USER_ERROR,
                    Reason.UNKNOWN_ELEMENT,
                    f"system {atoms.info['system']} contains {symbol}, which the pre-trained model does not know. "
                    f"It knows: {known}. Choose another model or remove the system.",
                )


def _check_model_runs(path: Path, starts: list[Atoms]) -> None:
    """Predict the first start: a checkpoint of another version may load and fail only here."""
    try:
        prediction = DeepmdModel(path).predict(starts[:1])[0]
    except (RuntimeError, KeyError, TypeError, ValueError, AssertionError) as error:
        raise _not_usable(f"{type(error).__name__}: {error}") from error
    if not np.isfinite(prediction.energy) or not np.isfinite(prediction.forces).all():
        raise _not_usable("it predicts values that are not numbers")


def _not_usable(why: str) -> StageError:
    return StageError(
        ExitCode.USER_ERROR,
        Reason.NOT_A_CHECKPOINT,
        f"spec.model: the checkpoint loads, but cannot predict the first start: {why[:300]}. "
        "It must be an energy model of deepmd-kit's PyTorch backend.",
    )

"""Labelled frames that exist already."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from ase import Atoms

from pfd_operator.contract.result import Caution, CautionReason, Reason
from pfd_operator.contract.selection import TRAINING
from pfd_operator.contract.systems import LabelledData
from pfd_operator.contract.text import first_of
from pfd_worker.errors import StageError, data_invalid
from pfd_worker.evaluation.errors import FrameError, frame_errors
from pfd_worker.evaluation.sample import spread_over_compositions
from pfd_worker.evaluation.sources import by_source, check_zeros, predictions_of_given
from pfd_worker.evaluation.units import check_units
from pfd_worker.frames import (
    GIVEN,
    OF_TRAJECTORY,
    Sampling,
    energy_of,
    is_labelled,
    labelled,
    read_frames,
    virial_of,
)
from pfd_worker.input_limits import LABELLED, TooLargeError
from pfd_worker.md.cells import height
from pfd_worker.models.base import AtomisticModel
from pfd_worker.preparation.deepmd_folder import deepmd_frames
from pfd_worker.preparation.structures import right_handed, unsound
from pfd_worker.stage_context import StageContext
from pfd_worker.store.manifests import sha256_of
from pfd_worker.unsupported import has_initial_moments, has_masses_of_its_own, unsupported

_NAME_MAX = 200
FRAMES_TRIED = 32
"""Of each file: enough to tell a unit, and seconds for a large model on a CPU."""
MOST_MEASURED_ON = 10_000
"""Every training predicts a hold-out several times, and each frame takes a large teacher a second on a CPU."""
ISOLATED_ANGSTROM = 6.0
"""An atom farther from its own images is one by itself: of elements, no crystal is that open."""
_CONVERT = "convert it to extended XYZ first: docs/api.md, section 'Data you have', shows how"
_BINARY = {
    b"\x93NUMPY": "a NumPy array (of deepmd/npy data give the folder, its address ending in /)",
    b"\x89HDF": "HDF5",
    b"SQLite format 3": "a database of ASE",
    b"\x80": "a pickle",
    b"PK": "a zip archive, as .npz and torch's files are",
    b"\x1f\x8b": "compressed by gzip",
    b"BZh": "compressed by bzip2",
    b"\xfd7zXZ": "compressed by xz",
    b"- of Ulm": "a trajectory of ASE",
}
"""What files that are often taken for data begin with."""


def check_data(model: AtomisticModel, frames: Sequence[Atoms], seed: int) -> None:
    """Compare units and zeros of energy of a sample of each file with the model's and with one another's.

    The first training compares them all; by then AIMD and hold-out are paid for.

    Parameters
    ----------
    model
        The one that is given: pre-trained, or a teacher.
    frames
        As `labelled_frames` finds them, with where they are from.
    seed
        Decides which frames are tried.

    Raises
    ------
    StageError
        DataInvalid, naming the file.
    """
    sample: list[Atoms] = []
    errors: list[FrameError] = []
    for source, rows in by_source(frames).items():
        given = [frames[row] for row in rows]
        tried = [given[place] for place in spread_over_compositions(given, FRAMES_TRIED, seed)]
        predictions = predictions_of_given(model, tried)
        check_units(tried, predictions, source)
        sample += tried
        errors += frame_errors(tried, predictions)
    check_zeros(sample, errors)


def given_data(
    context: StageContext, files: Sequence[LabelledData], field: str, digests: dict[str, str], with_masses: set[str]
) -> tuple[list[Atoms], Caution | None]:
    """Return labelled frames that the user gave, of none of the job's systems, and as `labelled_frames` a remark.

    Parameters
    ----------
    files, field, digests, with_masses
        As of `labelled_frames`.

    Raises
    ------
    StageError
        As `labelled_frames`.
    """
    found, left_out = labelled_frames(context, files, field, digests, with_masses)
    for atoms, said, _, where in found:
        about = {"system": "data", "stratum": GIVEN, "purpose": TRAINING, "trajectory": where}
        atoms.info = {**about, **_kept(said, where), **atoms.info}
    return [each.atoms for each in found], left_out


class Given(NamedTuple):
    """A labelled frame of the user."""

    atoms: Atoms
    """Checked, with its label, and nothing else that is known of it."""
    said: Mapping[str, Any]
    """The `info` that it has in its file."""
    number: int
    """Of its file, among those of its field."""
    where: str
    """That file, as the spec has it."""


def labelled_frames(
    context: StageContext, files: Sequence[LabelledData], field: str, digests: dict[str, str], with_masses: set[str]
) -> tuple[list[Given], Caution | None]:
    """Return the labelled frames of a field of the spec, and a remark if isolated atoms among them are left out.

    Parameters
    ----------
    files
        Where they are.
    field
        Its name.
    digests
        Takes the sha256 of every file read.
    with_masses
        Takes where frames have masses of their own.

    Raises
    ------
    StageError
        DataInvalid, naming file and frame.
    """
    frames: list[Given] = []
    isolated: Counter[str] = Counter()
    for number, each in enumerate(files):
        where = f"spec.{field}[{number}]"
        digests[f"{field}/{number}"], found = _frames(context, each.uri, where)
        for frame, atoms in found:
            if has_masses_of_its_own(atoms):
                with_masses.add(where)
            if _is_isolated(atoms):
                isolated[where] += 1
            else:
                frames.append(Given(_checked(atoms, frame), atoms.info, number, where))
    return frames, _left_out(isolated)


def _is_isolated(atoms: Atoms) -> bool:
    return len(atoms) == 1 and bool(np.isfinite(atoms.cell.array).all()) and height(atoms) > ISOLATED_ANGSTROM


def _left_out(isolated: Counter[str]) -> Caution | None:
    if not isolated:
        return None
    named = first_of([f"{count} of {where}" for where, count in isolated.items()])
    return Caution(
        reason=CautionReason.ISOLATED_ATOMS,
        message=f"frames of one atom with no other within {ISOLATED_ANGSTROM:g} Å are left out: {named}. Models miss "
        "their energies by eV, which would decide the shift of energies and which checkpoint is kept",
    )


def _frames(context: StageContext, uri: str, where: str) -> tuple[str, Iterable[tuple[str, Atoms]]]:
    """Return the digest of what is at an address, and its frames, each with its place for messages."""
    if uri.endswith("/"):
        return deepmd_frames(context, uri, where)
    path = _fetched(context, uri, f"{where}.uri")
    return sha256_of(path), ((f"{where}, frame {row}", atoms) for row, atoms in enumerate(_read(path, where)))


def _fetched(context: StageContext, uri: str, where: str) -> Path:
    try:
        return context.fetch_uri(uri, where, Reason.DATA_INVALID, LABELLED)
    except StageError as error:
        if error.reason is not Reason.DATA_INVALID or PurePosixPath(uri).suffix:
            raise
        raise data_invalid(f"{error.message}. If it is a folder of deepmd/npy data, end its address in /") from error


def _read(path: Path, where: str) -> list[Atoms]:
    with path.open("rb") as stream:
        beginning = stream.read(16)
    for magic, words in _BINARY.items():
        if beginning.startswith(magic):
            raise data_invalid(f"{where}: {path.name} is {words}, not extended XYZ: {_CONVERT}")
    try:
        LABELLED.check_file(path)
        LABELLED.check_extended_xyz(path)
        frames = read_frames(path)
    except TooLargeError as error:
        raise data_invalid(f"{where}: {path.name} {error}") from error
    except UnicodeDecodeError as error:
        raise data_invalid(f"{where}: {path.name} is a binary file, not extended XYZ: {_CONVERT}") from error
    except Exception as error:  # ASE's reader raises whatever the text leads it to
        raise data_invalid(f"{where}: {path.name} is not extended XYZ: {error}") from error
    if not frames:
        raise data_invalid(f"{where}: {path.name} holds no frame")
    return frames


def _checked(atoms: Atoms, frame: str) -> Atoms:
    frame = f"{frame} ({atoms.get_chemical_formula()})"
    if has_initial_moments(atoms):
        raise data_invalid(
            f"{frame} has initial_magmoms. What is labelled is learned as it is, but labels that are computed start "
            "from the engine's own moments. If both lead to the same magnetic state, remove initial_magmoms from the "
            "file; otherwise leave the frame out"
        )
    why = unsound(atoms) or unsupported(atoms)
    if why is not None:
        raise data_invalid(f"{frame} cannot be used: {why}")
    _name_forces(atoms, frame)
    _name_virial(atoms, frame)
    if not is_labelled(atoms):
        raise data_invalid(
            f"{frame}: energy and forces are needed and, like the virial, must be finite; "
            "name them energy (eV) and forces (eV/Å)"
        )
    bare = right_handed(atoms.copy())
    bare.info = {}
    return labelled(bare, energy_of(atoms), atoms.get_forces(), virial_of(atoms))


def _kept(info: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return what the training set of a former job says of a frame: how it was chosen, and where in which MD it was.

    Without it a frame 2 fs from one that is trained on would be set aside to choose the checkpoint, which shows no
    overfitting, and frames of MD that exploded would count as usual ones.
    """
    if not is_of_a_job(info):
        # what others call a trajectory may be no MD, and what was given to a job is of none
        return {}
    kept: dict[str, Any] = {"sampling": info["sampling"]}
    trajectory = said_trajectory(info, where)
    if trajectory is not None:
        kept[OF_TRAJECTORY] = trajectory
        if isinstance(info.get("step"), int | np.integer):
            kept["step"] = int(info["step"])
    return kept


def is_of_a_job(info: Mapping[str, Any]) -> bool:
    """Say whether a frame is one that a job has had labelled."""
    sampling = info.get("sampling")
    return isinstance(sampling, str) and sampling in set(Sampling)


def said_trajectory(info: Mapping[str, Any], where: str) -> str | None:
    """Return the trajectory that a frame's file says it is of, under a name no other file has; None if it does not."""
    name = info.get(OF_TRAJECTORY if info.get("stratum") == GIVEN else "trajectory")
    return _plain(f"{where} {name}")[:_NAME_MAX] if isinstance(name, str | int | float | np.integer) else None


def _plain(text: str) -> str:
    """Return text of a file in which no other file is misread: ASE writes backslashes and line ends as they are."""
    return "".join(letter if letter.isprintable() and letter != "\\" else "_" for letter in text)


def _name_forces(atoms: Atoms, frame: str) -> None:
    """Rename what data sets of GPUMD and NEP call `force`."""
    force = atoms.arrays.pop("force", None)
    if force is None or atoms.calc is None:
        return
    if np.shape(force) != (len(atoms), 3) or not np.issubdtype(force.dtype, np.number):
        raise data_invalid(f"{frame}: `force` must be three components of each atom, in eV/Å")
    forces = atoms.calc.results.setdefault("forces", force)
    if not np.allclose(force, forces, rtol=1e-2, atol=1e-2, equal_nan=True):
        raise data_invalid(f"{frame}: its `force` and its `forces` differ. Keep one of them")


def _name_virial(atoms: Atoms, frame: str) -> None:
    """Rename what data sets of GAP and MACE call `virials`: -V*stress in eV, like our `virial`."""
    if "virials" not in atoms.info:
        return
    virials = np.asarray(atoms.info.pop("virials"))
    if virials.size != 9 or not np.issubdtype(virials.dtype, np.number):
        raise data_invalid(f"{frame}: `virials` must be the nine components of -V·stress, in eV")
    virials = virials.astype(float).reshape(3, 3)
    other = virial_of(atoms)
    if other is not None and not np.allclose(virials, other, rtol=1e-2, atol=1e-2):
        raise data_invalid(
            f"{frame}: `virials` is not the virial that its virial or stress gives (-V·stress: the stress in eV/Å³, "
            "negative under pressure, virials in eV). Keep one of them"
        )
    atoms.info["virial"] = virials

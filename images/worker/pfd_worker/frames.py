"""Frames on disk: extended XYZ in and out with labels, virials and the info the stages exchange."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import iread, write
from ase.io.extxyz import key_val_str_to_dict
from numpy.typing import NDArray

GIVEN = "data"
"""The stratum of labels that the user gave (spec.data); others have their condition in it."""
WEIGHT = "weight"
"""In the info of labels: how often training draws it, relative to the mean; none is 1."""
OF_TRAJECTORY = "of_trajectory"
"""In the info of given labels: the trajectory that their file says they are of. `trajectory` is the file."""

SOURCE = "source"
"""In the info of given labels that are measured on: the file that they are of, as the spec has it."""


class Sampling(StrEnum):
    """How a frame came to be labelled."""

    REPRESENTATIVE = "representative"
    """One of an even sample of the MD."""
    FARTHEST = "farthest"
    """Far from the training set."""
    LOW_ENERGY = "low-energy"
    """Among the lowest in energy of its composition."""
    BRINK = "brink"
    """The last one before its trajectory exploded."""
    HEATING = "heating"
    """Before its trajectory, which exploded, had its conditions."""
    CLOSE_CONTACT = "close-contact"
    """Two atoms of an MD frame pushed together."""
    AIMD = "aimd"
    """A step of ab-initio MD."""


def is_extreme(atoms: Atoms) -> bool:
    """Say whether a frame is one of pushed atoms or of MD that explodes: no measure of the others."""
    return atoms.info.get("sampling") in (Sampling.CLOSE_CONTACT, Sampling.BRINK, Sampling.HEATING)


def is_of_exploration(atoms: Atoms) -> bool:
    """Say whether a frame was chosen out of the job's own MD for what it is like: that MD has others like it."""
    chosen = atoms.info.get("sampling") in (Sampling.REPRESENTATIVE, Sampling.FARTHEST, Sampling.LOW_ENERGY)
    # a user's data may be those of a former job
    return chosen and atoms.info.get("stratum") != GIVEN


def is_drawn_evenly(atoms: Atoms) -> bool:
    """Say whether a frame was chosen without regard to what the model makes of it, as those that a user gave were."""
    return atoms.info.get("sampling") in (None, Sampling.REPRESENTATIVE, Sampling.AIMD)


def read_frames(path: Path) -> list[Atoms]:
    """Read every frame of an extended XYZ file, without constraints (`move_mask`).

    Parameters
    ----------
    path
        The file; an empty file has no frames.
    """
    return list(frames_one_by_one(path))


def frames_one_by_one(path: Path) -> Iterator[Atoms]:
    """Read what `read_frames` does, each frame when it is asked for."""
    if path.stat().st_size > 0:
        yield from _read(path)


def read_rows(path: Path, rows: Sequence[int]) -> list[Atoms]:
    """Read those frames of such a file, in the order of `rows`; the others are not parsed, nor held in memory."""
    wanted = set(rows)
    found = {row: text for row, text in enumerate(_texts(path)) if row in wanted}
    return [atoms for row in rows for atoms in parse_frames(found[row])]


def parse_frames(content: bytes) -> list[Atoms]:
    """Read the frames of a part of such a file."""
    return list(_read(io.StringIO(content.decode())))


def _info_of(line: str) -> dict[str, Any]:
    """Read a frame's second line as ASE does, which takes a system named 001 or true for a number or a truth value."""
    info: dict[str, Any] = key_val_str_to_dict(line)
    if not isinstance(info.get("system", ""), str) and (named := re.search(r'(?:^|\s)system="?([^\s"]+)', line)):
        info["system"] = named[1]
    return info


def _read(file: Path | io.StringIO) -> Iterator[Atoms]:
    for atoms in iread(file, index=":", format="extxyz", properties_parser=_info_of):
        # ASE gives fixed atoms no force, whatever the label says, and would not move them in MD
        atoms.set_constraint()
        yield atoms


def frame_places(path: Path) -> list[tuple[int, int, str]]:
    """Return (first byte, number of bytes, sha256) of each frame of such a file."""
    places: list[tuple[int, int, str]] = []
    first = 0
    for text in _texts(path):
        places.append((first, len(text), hashlib.sha256(text).hexdigest()))
        first += len(text)
    return places


def _texts(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while count := stream.readline():
            yield count + b"".join(stream.readline() for _ in range(int(count) + 1))


def write_frames(path: Path, frames: Iterable[Atoms], append: bool = False) -> None:
    """Write frames as extended XYZ with their labels and info; no frames make an empty file."""
    frames = list(frames)
    if frames:
        write(path, frames, format="extxyz", append=append)
    else:
        path.touch()


def energy_of(atoms: Atoms) -> float:
    """Return the energy in eV, of a label or by a calculator; the force-consistent one where there are both.

    With smearing, forces are derivatives of the free energy and of no other.

    Raises
    ------
    PropertyNotImplementedError, RuntimeError
        If the frame has no label.
    """
    try:
        return float(atoms.get_potential_energy(force_consistent=True))
    except PropertyNotImplementedError:
        return float(atoms.get_potential_energy())


def has_virial(atoms: Atoms) -> bool:
    """Tell whether a frame has a virial: it is periodic in all directions.

    In a direction without periods the height of the cell means nothing, so there is no strain to be the derivative by.
    """
    return bool(atoms.pbc.all() and atoms.cell.rank == 3)


def bare(atoms: Atoms) -> Atoms:
    """Return the structure and nothing that is known of it besides."""
    return Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=atoms.pbc)


def virial_of(atoms: Atoms) -> NDArray[np.float64] | None:
    """Return the labelled virial (3, 3) in eV, -V*stress if only the stress is there, None if neither is.

    A frame that has none has none whatever its file says. Nor has one whose virial is exactly zero while its forces
    are not: so programs answer that were not asked for a stress (CP2K without `stress_tensor`).
    """
    virial = _given_virial(atoms) if has_virial(atoms) else None
    return None if virial is None or _stands_for_none(virial, atoms) else virial


def _given_virial(atoms: Atoms) -> NDArray[np.float64] | None:
    given = atoms.info.get("virial")
    if given is not None:
        return np.asarray(given, dtype=float).reshape(3, 3)
    if atoms.calc is None or "stress" not in getattr(atoms.calc, "results", {}):
        return None
    virial: NDArray[np.float64] = -atoms.get_volume() * atoms.get_stress(voigt=False)
    return virial


def _stands_for_none(virial: NDArray[np.float64], atoms: Atoms) -> bool:
    """Tell whether a virial is zeros that nobody has computed: atoms that push one another push the cell as well."""
    forces = None if atoms.calc is None else atoms.calc.results.get("forces")
    return len(atoms) > 1 and forces is not None and bool(np.any(forces)) and not np.any(virial)


def is_labelled(atoms: Atoms) -> bool:
    """Tell whether the frame has an energy and forces that are all finite."""
    results = {} if atoms.calc is None else atoms.calc.results
    if results.get("energy") is None or results.get("forces") is None:
        return False
    virial = virial_of(atoms)
    try:
        finite = bool(np.isfinite(energy_of(atoms)) and np.isfinite(results["forces"]).all())
    except (TypeError, ValueError):
        # a file may have any text in their place, such as what Python prints for no value
        return False
    return finite and (virial is None or bool(np.isfinite(virial).all()))


def labelled(
    atoms: Atoms, energy: float, forces: NDArray[np.float64], virial: NDArray[np.float64] | None = None
) -> Atoms:
    """Return a copy that carries the label; its info is kept.

    Parameters
    ----------
    atoms
        The structure.
    energy
        In eV.
    forces
        (n_atoms, 3), in eV/Å.
    virial
        (3, 3) or (9,), in eV: -V*stress.
    """
    frame = atoms.copy()
    frame.calc = SinglePointCalculator(frame, energy=float(energy), forces=np.asarray(forces, dtype=float))
    if virial is not None:
        frame.info["virial"] = np.asarray(virial, dtype=float).reshape(3, 3)
    return frame

"""Any program in an image of its own: a structure and the user's files in, an output that ASE reads out."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.geometry import find_mic
from ase.io import write
from ase.stress import voigt_6_to_full_3x3_stress
from numpy.typing import NDArray

from pfd_operator.contract.program import COMMAND_FILE, POSCAR_FILE, STRUCTURE_FILE, ProgramEngine
from pfd_worker.frames import bare, has_virial, is_labelled, labelled
from pfd_worker.labelers.base import LabelFailure, Verdict
from pfd_worker.labelers.outputs import failed, fate, text_of
from pfd_worker.labelers.program_formats import is_unconverged, read_result
from pfd_worker.labelers.task import Calculation

SAME_PLACE_ANGSTROM = 2e-3
"""Far above what outputs round, far below what a step of a relaxation moves."""


class ProgramLabeler:
    """Single points by a command of the user's."""

    def __init__(self, settings: ProgramEngine) -> None:
        self._settings = settings

    def write_inputs(self, calculation: Calculation, directory: Path) -> None:
        """Write the structure, the user's files and the command.

        Raises
        ------
        ValueError
            If MD is asked for, which the operator refuses before.
        """
        if calculation.aimd is not None and calculation.aimd.steps > 1:
            raise ValueError("the engine `program` computes single points only")
        atoms = bare(calculation.atoms)
        write(directory / STRUCTURE_FILE, atoms, format="extxyz")
        if atoms.pbc.all():
            write(directory / POSCAR_FILE, atoms[poscar_order(atoms)], format="vasp", direct=True)
        for name, text in self._settings.files.items():
            (directory / name).write_text(text)
        links = "".join(f"ln -s {shlex.quote(file.path)} . && " for file in self._settings.files_from)
        (directory / COMMAND_FILE).write_text(f"{links}exec {shlex.join(self._settings.command)}\n")

    def read_outputs(self, calculation: Calculation, directory: Path, exit_code: int) -> Verdict:
        """Judge a run: ended well, converged where the output tells, and of this very structure."""
        ended = fate(exit_code)
        if ended is not None:
            return failed(directory, *ended)
        output = self._settings.output
        text, complaint = "", ""
        try:
            text = text_of(directory / output.file)
        except FileNotFoundError:
            complaint = f"the program left no {output.file}"
        except ValueError as error:
            complaint = str(error)
        if is_unconverged(output.format, text):
            return failed(
                directory, LabelFailure.SCF_NOT_CONVERGED, f"{output.file} says that the cycle did not converge"
            )
        if exit_code != 0:
            return failed(directory, LabelFailure.ENGINE_ERROR, f"the program ended with exit code {exit_code}")
        if complaint:
            return failed(directory, LabelFailure.OUTPUT_UNREADABLE, complaint)
        return self._read(calculation, directory, text)

    def _read(self, calculation: Calculation, directory: Path, text: str) -> Verdict:
        output = self._settings.output
        try:
            found = read_result(output.format, text)
            if found.info.get("converged", True):
                return Verdict((label_of(calculation.atoms, found),))
        except Exception as error:  # readers of other programs' outputs raise whatever they like
            words = f"{output.file} ({output.format}): {type(error).__name__}: {error}"[:500]
            return failed(directory, LabelFailure.OUTPUT_UNREADABLE, words)
        return failed(directory, LabelFailure.SCF_NOT_CONVERGED, f"{output.file} says that the cycle did not converge")


def poscar_order(atoms: Atoms) -> NDArray[np.intp]:
    """Return the atoms' numbers as POSCAR has them: each element once, since a POTCAR has it once."""
    return np.argsort(atoms.get_chemical_symbols(), kind="stable")


def label_of(atoms: Atoms, found: Atoms) -> Atoms:
    """Return a structure with the label that was found for it.

    Parameters
    ----------
    atoms
        What was to be labelled.
    found
        What the output holds: the same atoms in this order or that of POSCAR, with results.

    Raises
    ------
    ValueError
        If it is another structure, or the label is not whole.
    """
    order = _order(atoms, found)
    results = {} if found.calc is None else found.calc.results
    # with smearing, forces are derivatives of the free energy
    energy = results.get("free_energy", results.get("energy"))
    if energy is None:
        raise ValueError("there is no energy in it")
    if results.get("forces") is None:
        raise ValueError("there are no forces in it")
    forces = np.full((len(atoms), 3), np.nan)
    forces[order] = np.reshape(results["forces"], (len(atoms), 3))
    frame = labelled(bare(atoms), float(energy), forces, _virial(atoms, found))
    if not is_labelled(frame):
        raise ValueError("it holds values that are not numbers")
    return frame


def _virial(atoms: Atoms, found: Atoms) -> NDArray[np.float64] | None:
    if not has_virial(atoms):
        return None
    if found.info.get("virial") is not None:
        return np.reshape(np.asarray(found.info["virial"], dtype=float), (3, 3))
    stress = None if found.calc is None else found.calc.results.get("stress")
    if stress is None:
        return None
    whole = voigt_6_to_full_3x3_stress(stress) if np.size(stress) == 6 else np.reshape(stress, (3, 3))
    virial: NDArray[np.float64] = -atoms.get_volume() * np.asarray(whole, dtype=float)
    return virial


def _order(atoms: Atoms, found: Atoms) -> NDArray[np.intp]:
    """Return where the atoms of an output are in the structure that it is of."""
    if len(found) != len(atoms):
        raise ValueError(f"it has {len(found)} atoms, the structure {len(atoms)}")
    if found.cell.rank == 3 and not np.allclose(found.cell.array, atoms.cell.array, atol=SAME_PLACE_ANGSTROM, rtol=0):
        raise ValueError("its cell is another one than the structure's: nothing may be relaxed or turned")
    farthest = np.inf
    for order in (np.arange(len(atoms)), poscar_order(atoms)):
        if np.array_equal(found.numbers, atoms.numbers[order]):
            moved = found.positions - atoms.positions[order]
            _, distances = find_mic(moved, atoms.cell, atoms.pbc)
            if distances.max() <= SAME_PLACE_ANGSTROM:
                return order
            farthest = min(farthest, distances.max())
    if np.isfinite(farthest):
        raise ValueError(
            f"an atom in it is {farthest:.3f} Å from where it was put: nothing may be relaxed, moved or turned, and "
            f"atoms keep the order of {STRUCTURE_FILE} or {POSCAR_FILE}"
        )
    raise ValueError(f"its elements are in another order than those of {STRUCTURE_FILE} and {POSCAR_FILE}")

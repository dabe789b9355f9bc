"""ABINIT: input variables from our settings, labels from its main output.

Variable names and units are those of the ABINIT documentation (basic, gstate and rlx variable sets, version 9).
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.data import atomic_numbers
from numpy.typing import NDArray
from scipy.io import netcdf_file

from pfd_operator.contract.engine import AbinitEngine, Smearing
from pfd_operator.contract.program import COMMAND_FILE
from pfd_worker.cells import cell_heights, reference_cell
from pfd_worker.frames import labelled
from pfd_worker.labelers.base import LabelFailure, Verdict
from pfd_worker.labelers.k_points import k_mesh
from pfd_worker.labelers.outputs import bytes_of, failed, fate, text_of
from pfd_worker.labelers.task import Calculation

ATOMIC_TIME_FS = 0.024188843265857
"""ħ/Ha in fs (CODATA 2018)."""
_OCCUPATION = {Smearing.FIXED: 1, Smearing.FERMI_DIRAC: 3, Smearing.GAUSSIAN: 7}
_PSEUDOPOTENTIAL_FOLDER = "@ABI_PSPDIR@"
_CRITERIA = {"toldfe", "toldff", "tolrff", "tolvrs", "tolwfr"}
_NOT_CONVERGED = "was not enough SCF cycles"
_FINISHED = "Calculation completed"
_STEP = "--- Iteration: ("
_UNREADABLE = (ValueError, IndexError, KeyError, TypeError, OSError)
"""TypeError: what scipy raises for a file that is no NetCDF, as a full disk leaves it."""
VACUUM_ANGSTROM = 6.0
"""A wider gap between atoms is in no crystal but those with large pores, where this is as right."""
DIELECTRIC_CONSTANT_BESIDE_VACUUM = 12.0
"""Between that of vacuum and that of a metal; what a cycle converges to does not depend on it."""


class AbinitLabeler:
    """Single points and AIMD (ionmov 6, Verlet, constant energy) with forces and stress."""

    def __init__(self, settings: AbinitEngine) -> None:
        self._settings = settings

    def write_inputs(self, calculation: Calculation, directory: Path) -> None:
        """Write the input as a template: only the engine's image knows where its pseudopotentials are."""
        lines = [f"{name} {_text(value)}" for name, value in self.variables(calculation).items()]
        (directory / "run.abi.in").write_text("\n".join(lines) + "\n")
        command = " ".join(shlex.quote(word) for word in self._settings.command)
        (directory / COMMAND_FILE).write_text(
            f'sed "s|{_PSEUDOPOTENTIAL_FOLDER}|${{ABI_PSPDIR:-.}}|g" run.abi.in > run.abi && exec {command} run.abi\n'
        )

    def variables(self, calculation: Calculation) -> dict[str, Any]:
        """Return all input variables, the user's extra ones over ours."""
        settings, atoms = self._settings, calculation.atoms
        symbols = list(dict.fromkeys(atoms.get_chemical_symbols()))
        variables: dict[str, Any] = {
            "pseudos": '"' + ", ".join(_pseudopotential(settings.pseudopotentials[s]) for s in symbols) + '"',
            "ntypat": len(symbols),
            "znucl": [atomic_numbers[symbol] for symbol in symbols],
            "natom": len(atoms),
            "typat": [symbols.index(symbol) + 1 for symbol in atoms.get_chemical_symbols()],
            "acell": "1 1 1",
            "rprim": atoms.cell.array / units.Bohr,
            "xcart": atoms.positions / units.Bohr,
            "ecut": settings.cutoff_ev / units.Ha,
            # smooths the kinetic energy near the cutoff, so that the stress is the derivative of the energy
            # though the number of plane waves changes with the cell
            "ecutsm": 0.5,
            "ngkpt": k_mesh(reference_cell(atoms), settings.k_spacing),
            "nshiftk": 1,
            "shiftk": [0.5] * 3 if settings.k_shifted else [0.0] * 3,
            "occopt": _OCCUPATION[settings.smearing],
            "nstep": 80,
            **_convergence(settings.extra),
            **_preconditioner(atoms),
            "optforces": 1,
            "optstress": 1,
            # distorted frames have no symmetry, and looking for it must not stop a shifted mesh
            "nsym": 1,
            "chksymbreak": 0,
            "prtwf": 0,
            "prtden": 0,
            "prteig": 0,
            "prtebands": 0,
        }
        if settings.smearing is not Smearing.FIXED:
            variables["tsmear"] = settings.smearing_width_ev / units.Ha
            variables["fband"] = settings.extra_bands_fraction
        if calculation.aimd is not None:
            variables |= {
                "ionmov": 6,
                "ntime": calculation.aimd.steps,
                "dtion": calculation.aimd.timestep_fs / ATOMIC_TIME_FS,
                "vel": calculation.start().get_velocities() * units.fs / units.Bohr * ATOMIC_TIME_FS,
            }
        return variables | {name: _of_types(value, symbols) for name, value in settings.extra.items()}

    def read_outputs(self, calculation: Calculation, directory: Path, exit_code: int) -> Verdict:
        """Judge a run: complete, every SCF cycle converged, all numbers there. Failed AIMD keeps the steps before."""
        text = ""
        try:
            text = text_of(directory / "run.abo")
        except FileNotFoundError:
            pass
        except ValueError as error:
            return failed(directory, LabelFailure.OUTPUT_UNREADABLE, str(error))
        ended = fate(exit_code)
        if ended is None and _NOT_CONVERGED in text:
            ended = LabelFailure.SCF_NOT_CONVERGED, "the self-consistent cycle did not converge"
        elif ended is None and (exit_code != 0 or _FINISHED not in text):
            ended = LabelFailure.ENGINE_ERROR, f"the engine ended with exit code {exit_code}"
        if ended is not None:
            sound = [] if calculation.aimd is None else _sound_steps(calculation.atoms, directory, text)
            return failed(directory, *ended, sound)
        frames: list[Atoms] = []
        try:
            if calculation.aimd is None:
                frames.append(_single_point(calculation.atoms, text))
            else:
                frames.extend(_trajectory(calculation.atoms, directory))
        except _UNREADABLE as error:
            return failed(directory, LabelFailure.OUTPUT_UNREADABLE, f"{type(error).__name__}: {error}", frames)
        if calculation.aimd is not None and len(frames) != calculation.aimd.steps:
            words = f"{len(frames)} of {calculation.aimd.steps} MD steps were written"
            return failed(directory, LabelFailure.OUTPUT_UNREADABLE, words, frames)
        return Verdict(tuple(frames))


def _convergence(extra: Mapping[str, Any]) -> dict[str, float]:
    """Return the one criterion that ends a self-consistent cycle: ABINIT takes no second one beside the user's.

    Forces that hardly change from step to step (toldff) may be far off where a charge sloshes, and those on a single
    atom of a cell are zero from the first step on, whatever energy and stress are. The potential's residual is an
    error. A much smaller one is not always reached: where there is vacuum, PBE's potential is noise.
    """
    # forces to 0.05 meV/Å, virials to 0.15 meV per atom in all that hack/science/scf_criterion.py measures
    return {} if extra.keys() & _CRITERIA else {"tolvrs": 1.0e-5}


def _preconditioner(atoms: Atoms) -> dict[str, float]:
    """Return how a change of the density is screened where there is vacuum: ABINIT's default is that of a metal.

    With it a slab's charge sloshes: four layers of aluminium take 20 steps, with this one 16.
    """
    fractions = np.sort(atoms.get_scaled_positions(), axis=0)
    gaps = np.vstack([np.diff(fractions, axis=0), 1.0 - np.ptp(fractions, axis=0)]).max(axis=0)
    beside_vacuum = (gaps * cell_heights(atoms) > VACUUM_ANGSTROM).any()
    return {"diemac": DIELECTRIC_CONSTANT_BESIDE_VACUUM} if beside_vacuum else {}


def _of_types(value: Any, symbols: Sequence[str]) -> Any:
    """Return a variable's {element: value} in the order of the frame's types, anything else as it is."""
    return [value[symbol] for symbol in symbols] if isinstance(value, Mapping) else value


def _pseudopotential(name: str) -> str:
    return name if name.startswith("/") else f"{_PSEUDOPOTENTIAL_FOLDER}/{name}"


def _text(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return "\n  " + "\n  ".join(" ".join(f"{x:.14e}" for x in row) for row in np.atleast_2d(value))
    if isinstance(value, list | tuple):
        return " ".join(_text(item) for item in value)
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _single_point(atoms: Atoms, text: str) -> Atoms:
    # etotal is the free energy (with -TS of the smearing), to which the forces belong
    energy = float(re.findall(r"^\s*etotal\d*\s+([-+.\dEe]+)", text, re.M)[-1]) * units.Ha
    results = text.rsplit("--- !ResultsGS", 1)[1].split("\n...", 1)[0]
    forces = _rows(results, "cartesian_forces", len(atoms)) * units.Ha / units.Bohr
    stress = _rows(results, "cartesian_stress_tensor", 3) * units.Ha / units.Bohr**3
    return _checked(labelled(atoms, energy, forces, -atoms.get_volume() * stress))


def _rows(block: str, name: str, count: int) -> NDArray[np.float64]:
    lines = block.split(f"{name}:", 1)[1].splitlines()[1 : count + 1]
    values = np.array([[float(x) for x in line[line.index("[") + 1 :].split(",")[:3]] for line in lines])
    if values.shape != (count, 3):
        raise ValueError(f"{name} has {values.shape} values, ({count}, 3) are expected")
    return values


def _sound_steps(atoms: Atoms, directory: Path, text: str) -> list[Atoms]:
    """Return the steps of a trajectory that were over before it failed.

    ABINIT announces each step, and goes on after a cycle that did not converge.
    """
    over = text.split(_NOT_CONVERGED)[0].count(_STEP) - 1
    frames: list[Atoms] = []
    with contextlib.suppress(*_UNREADABLE):
        frames.extend(islice(_trajectory(atoms, directory), max(0, over)))
    return frames


def _trajectory(atoms: Atoms, directory: Path) -> Iterator[Atoms]:
    """Read every step out of the history file; the first frame is the start itself."""
    with netcdf_file(io.BytesIO(bytes_of(directory / "runo_HIST.nc")), "r", mmap=False) as history:
        values = {name: np.array(history.variables[name][:]) for name in ("xcart", "fcart", "strten", "etotal")}
    for positions, forces, stress, energy in zip(*values.values(), strict=True):
        frame = atoms.copy()
        frame.positions = positions * units.Bohr
        xx, yy, zz, yz, xz, xy = stress * units.Ha / units.Bohr**3
        tensor = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
        virial = -frame.get_volume() * tensor
        yield _checked(labelled(frame, energy * units.Ha, forces * units.Ha / units.Bohr, virial))


def _checked(frame: Atoms) -> Atoms:
    values = [frame.get_potential_energy(), *frame.get_forces().ravel(), *np.ravel(frame.info["virial"])]
    if not np.isfinite(values).all():
        raise ValueError("the output holds values that are not numbers")
    return frame

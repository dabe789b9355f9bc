"""Single-point ABINIT calculations from a shell, for measuring settings before the operator spends labels on them."""

from __future__ import annotations

import math
import os
import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms, units
from numpy.typing import NDArray


@dataclass(frozen=True)
class Settings:
    """What decides the accuracy of a label; the fields are those of `labeling.engine.abinit`."""

    cutoff_ev: float
    k_spacing: float
    k_shifted: bool
    smearing_width_ev: float = 0.1
    extra_bands: int = 4

    def mesh(self, atoms: Atoms) -> tuple[int, int, int]:
        """Return the numbers of k-points along the reciprocal vectors of the cell."""
        lengths = 2 * math.pi * np.linalg.norm(atoms.cell.reciprocal(), axis=1)
        n = [max(1, math.ceil(length / self.k_spacing - 1e-6)) for length in lengths]
        return n[0], n[1], n[2]


@dataclass(frozen=True)
class Label:
    """Energy (eV), forces (eV/Å, atoms x 3), virial (eV, 3 x 3) and the seconds they took."""

    energy: float
    forces: NDArray[np.float64]
    virial: NDArray[np.float64]
    seconds: float


def input_text(atoms: Atoms, settings: Settings, pseudopotentials: dict[str, str], directory: str) -> str:
    """Return ABINIT's input for one self-consistent calculation with forces and stress."""
    symbols = atoms.get_chemical_symbols()
    species = list(dict.fromkeys(symbols))
    files = [Path(directory) / pseudopotentials[symbol] for symbol in species]
    valence = {symbol: valence_electrons(file) for symbol, file in zip(species, files, strict=True)}
    electrons = sum(valence[symbol] for symbol in symbols)
    numbers = [atoms.numbers[symbols.index(symbol)] for symbol in species]
    rows = "\n".join(" ".join(f"{x:.12f}" for x in row) for row in atoms.cell.array / units.Bohr)
    reduced = "\n".join(" ".join(f"{x:.12f}" for x in row) for row in atoms.get_scaled_positions(wrap=False))
    shift = "0.5 0.5 0.5" if settings.k_shifted else "0 0 0"
    return f"""pp_dirpath "{directory}"
pseudos "{", ".join(file.name for file in files)}"
ntypat {len(species)}
znucl {" ".join(str(z) for z in numbers)}
natom {len(atoms)}
typat {" ".join(str(species.index(symbol) + 1) for symbol in symbols)}
acell 1 1 1
rprim
{rows}
xred
{reduced}
ecut {settings.cutoff_ev / units.Ha:.8f}
ecutsm 0.5
ngkpt {" ".join(str(n) for n in settings.mesh(atoms))}
nshiftk 1
shiftk {shift}
occopt 7
tsmear {settings.smearing_width_ev / units.Ha:.8f}
nband {math.ceil(electrons / 2) + settings.extra_bands}
nsppol 1
nstep 60
toldff 5.0e-5
optforces 1
optstress 1
chksymbreak 0
prtwf 0
prtden 0
prteig 0
prtebands 0
"""


def valence_electrons(file: Path) -> float:
    """Return the number of valence electrons that a psp8 file gives in its second line."""
    return float(file.read_text().splitlines()[1].split()[1])


def run_abinit(
    atoms: Atoms, settings: Settings, pseudopotentials: dict[str, str], directory: str, workdir: Path
) -> Label:
    """Run ABINIT on one core and read its output.

    Raises
    ------
    RuntimeError
        If ABINIT fails or its self-consistency does not converge; with its last lines.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    for old in workdir.glob("run*"):
        old.unlink()
    (workdir / "run.abi").write_text(input_text(atoms, settings, pseudopotentials, directory))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    environment |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    begin = time.perf_counter()
    command = ["abinit", "run.abi"]
    run = subprocess.run(command, cwd=workdir, capture_output=True, text=True, env=environment, check=False)
    seconds = time.perf_counter() - begin
    output = workdir / "run.abo"
    text = output.read_text() if output.exists() else ""
    if run.returncode or "Calculation completed" not in text or "was not enough SCF cycles" in text:
        raise RuntimeError(f"{workdir}: ABINIT failed:\n{(run.stdout + run.stderr)[-800:]}")
    return parse_output(text, len(atoms), atoms.get_volume(), seconds)


def parse_output(text: str, atoms: int, volume: float, seconds: float) -> Label:
    """Read energy, forces and stress from ABINIT's main output; forces belong to its energy, the free energy."""
    energy = float(re.findall(r"^\s*etotal\s+([-+.\dEe]+)", text, re.M)[-1]) * units.Ha
    block = text.split("cartesian forces (eV/Angstrom) at end:")[1].splitlines()[1 : atoms + 1]
    forces = np.array([[float(x) for x in line.split()[1:4]] for line in block])
    # In hartree/bohr³; the same tensor in GPa follows, its lines marked by a minus.
    tensor = dict(re.findall(r"^ *sigma\((\d \d)\)=\s*([-+.\dEe]+) *sigma", text, re.M))
    tensor |= dict(re.findall(r"^ *sigma.*?sigma\((\d \d)\)=\s*([-+.\dEe]+)", text, re.M))
    names = [["1 1", "2 1", "3 1"], ["2 1", "2 2", "3 2"], ["3 1", "3 2", "3 3"]]
    stress = np.array([[float(tensor[name]) for name in row] for row in names]) * units.Ha / units.Bohr**3
    return Label(energy, forces, -volume * stress, seconds)

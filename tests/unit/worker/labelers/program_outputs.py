"""Outputs of programs as far as readers look at them, in the programs' own layout."""

from __future__ import annotations

import numpy as np
from ase import Atoms, units
from ase.build import bulk
from numpy.typing import NDArray

ENERGY = -10.5
"""Of the free energy, in eV."""
STRESS_KBAR = np.array([[12.0, 1.0, 2.0], [1.0, -7.0, 3.0], [2.0, 3.0, 5.0]])
"""VASP's and Quantum ESPRESSO's sign: positive under pressure."""


def salt() -> Atoms:
    """Return a cell whose elements alternate."""
    atoms = bulk("NaCl", "rocksalt", a=5.6, cubic=True)
    atoms.set_cell(atoms.cell.array @ [[1, 0.02, 0], [0, 1, 0], [0.01, 0, 1]], scale_atoms=True)
    atoms.rattle(0.1, seed=1)
    return atoms


def forces_of(atoms: Atoms) -> NDArray[np.float64]:
    """Return forces that tell the atoms apart, in eV/Å."""
    return np.arange(3.0 * len(atoms)).reshape(-1, 3) / 8 - 0.5


def extxyz(atoms: Atoms, about: str = f"energy={ENERGY}", columns: str = ":forces:R:3") -> str:
    """Return a frame."""
    lattice = " ".join(map(str, atoms.cell.array.ravel()))
    rows = [
        f"{symbol} {' '.join(map(str, [*position, *force] if columns else position))}"
        for symbol, position, force in zip(atoms.symbols, atoms.positions, forces_of(atoms), strict=True)
    ]
    header = f'Lattice="{lattice}" Properties=species:S:1:pos:R:3{columns} pbc="T T T" {about}'
    return "\n".join([str(len(atoms)), header, *rows, ""])


def vasprun(atoms: Atoms, steps: int = 9) -> str:
    """Return what VASP writes to vasprun.xml; `atoms` in the order of POSCAR, `steps` of the NELM of 60."""

    def rows(name: str, values: NDArray[np.float64]) -> str:
        lines = "".join(f"<v> {' '.join(f'{x:.8f}' for x in row)} </v>" for row in values)
        return f'<varray name="{name}">{lines}</varray>'

    structure = f"<crystal>{rows('basis', atoms.cell.array)}</crystal>{rows('positions', atoms.get_scaled_positions())}"
    named = {"e_fr_energy": ENERGY, "e_wo_entrp": ENERGY + 0.2, "e_0_energy": ENERGY + 0.1}
    energy = "".join(f'<i name="{name}"> {value:.8f} </i>' for name, value in named.items())
    species = "".join(f"<rc><c>{symbol} </c><c> 1</c></rc>" for symbol in atoms.symbols)
    step = f"<scstep><energy>{energy}</energy></scstep>"
    return f"""<?xml version="1.0" encoding="ISO-8859-1"?>
<modeling>
<kpoints><varray name="kpointlist"><v> 0.0 0.0 0.0 </v></varray><varray name="weights"><v> 1.0 </v></varray></kpoints>
<parameters><separator name="electronic"><i type="int" name="NELM">    60</i></separator></parameters>
<atominfo><array name="atoms"><set>{species}</set></array></atominfo>
<structure name="initialpos">{structure}</structure>
<calculation>
{step * steps}
<structure>{structure}</structure>{rows("forces", forces_of(atoms))}{rows("stress", STRESS_KBAR)}
<energy>{energy}</energy>
</calculation>
</modeling>
"""


def outcar(atoms: Atoms, ending: str = "aborting loop because EDIFF is reached", steps: int = 9) -> str:
    """Return what VASP writes to OUTCAR; `atoms` in the order of POSCAR, `steps` of the NELM of 60."""
    iterations = "".join(f"{'-' * 39} Iteration      1({n:4d})  {'-' * 39}\n" for n in range(1, steps + 1))
    symbols = list(dict.fromkeys(atoms.get_chemical_symbols()))
    potcars = "".join(f" POTCAR:    PAW_PBE {symbol} 05Jan2001\n" for symbol in symbols)
    counts = " ".join(str(atoms.get_chemical_symbols().count(symbol)) for symbol in symbols)
    lattice = "".join(f" {' '.join(f'{x:.9f}' for x in row)}  0.0 0.0 0.0\n" for row in atoms.cell.array)
    table = np.hstack([atoms.positions, forces_of(atoms)])
    rows = "".join(f" {' '.join(f'{x:.6f}' for x in row)}\n" for row in table)
    kilobar = " ".join(f"{STRESS_KBAR[i, j]:.5f}" for i, j in ((0, 0), (1, 1), (2, 2), (0, 1), (1, 2), (2, 0)))
    return f""" vasp.6.4.2
{potcars}{potcars}   ISPIN  =      1    spin polarized calculation?
   NELM   =     60;   NELMIN=  2; NELMDL= -5     # of ELM steps
   ions per type =               {counts}
   k-points           NKPTS =      1   k-points in BZ     NKDIM =      1   number of bands    NBANDS=     8
   number of dos      NEDOS =    301   number of ions     NIONS =      {len(atoms)}
 k-points in reciprocal lattice and weights: x
   0.00000000  0.00000000  0.00000000       1.000
{iterations}------------------------ {ending} ----------------------------------------
  in kB       {kilobar}
      direct lattice vectors                 reciprocal lattice vectors
{lattice}
 POSITION                                       TOTAL-FORCE (eV/Angst)
 -----------------------------------------------------------------------------------
{rows} -----------------------------------------------------------------------------------
  FREE ENERGIE OF THE ION-ELECTRON SYSTEM (eV)
  ---------------------------------------------------
  free  energy   TOTEN  =       {ENERGY:.8f} eV

  energy  without entropy=      {ENERGY + 0.2:.8f}  energy(sigma->0) =      {ENERGY + 0.1:.8f}

 General timing and accounting informations for this job:
"""


def pw_out(atoms: Atoms, ending: str = "convergence has been achieved in   6 iterations") -> str:
    """Return what pw.x of Quantum ESPRESSO writes."""
    alat = 8.0 * units.Bohr
    axes = "".join(
        f"               a({n}) = ( {' '.join(f'{x:.7f}' for x in row / alat)} )\n"
        for n, row in enumerate(atoms.cell, 1)
    )
    sites = "".join(
        f"  {n}  {symbol}  tau( {n}) = ( {' '.join(f'{x:.7f}' for x in position / alat)} )\n"
        for n, (symbol, position) in enumerate(zip(atoms.symbols, atoms.positions, strict=True), 1)
    )
    forces = "".join(
        f"     atom {n:4d} type  1   force = {' '.join(f'{x:.8f}' for x in row * units.Bohr / units.Ry)}\n"
        for n, row in enumerate(forces_of(atoms), 1)
    )
    in_rydberg = STRESS_KBAR * 0.1 * units.GPa * units.Bohr**3 / units.Ry
    stress = "".join(
        f" {' '.join(f'{x:.8f}' for x in row)}  {' '.join(f'{x:.2f}' for x in kilobar)}\n"
        for row, kilobar in zip(in_rydberg, STRESS_KBAR, strict=True)
    )
    return f"""
     Program PWSCF v.7.3 starts on 30Nov2026
     bravais-lattice index     =            0
     number of atoms/cell      =            {len(atoms)}
     number of atomic types    =            {len(set(atoms.symbols))}
     celldm(1)=   8.000000  celldm(2)=   0.000000  celldm(3)=   0.000000
     crystal axes: (cart. coord. in units of alat)
{axes}
     site n.     atom                  positions (alat units)
{sites}
!    total energy              =     {ENERGY / units.Ry:.8f} Ry
     {ending}

     Forces acting on atoms (cartesian axes, Ry/au):

{forces}
          total   stress  (Ry/bohr**3)                   (kbar)     P=        3.33
{stress}
   JOB DONE.
"""


def cp2k_out(atoms: Atoms, ending: str = "*** SCF run converged in    37 steps ***") -> str:
    """Return what CP2K 2023 writes."""

    def rows(words: str, values: NDArray[np.float64]) -> str:
        return "".join(
            f" {words}      {x} {' '.join(f'{y:.11E}' for y in row)}\n" for x, row in zip("xyz", values, strict=True)
        )

    forces = "".join(
        f" {n:6d}      1      {symbol}  {' '.join(f'{x:.8f}' for x in force * units.Bohr / units.Hartree)}\n"
        for n, (symbol, force) in enumerate(zip(atoms.symbols, forces_of(atoms), strict=True), 1)
    )
    return f"""
  *** SCF run NOT converged ***
  {ending}
 ENERGY| Total FORCE_EVAL ( QS ) energy [a.u.]:          {ENERGY / units.Hartree:.15f}

 ATOMIC FORCES in [a.u.]

 # Atom   Kind   Element          X              Y              Z
{forces} SUM OF ATOMIC FORCES           0.00000302    -0.00000346    -0.00000217     0.00000508

 STRESS| Analytical stress tensor [GPa]
 STRESS|                        x                   y                   z
{rows("STRESS|", STRESS_KBAR / 10)} STRESS| Eigenvectors and eigenvalues of the analytical stress tensor [GPa]
 STRESS|                        1                   2                   3
{rows("STRESS|", np.eye(3))}
"""


def orca_out(atoms: Atoms, remark: str = "") -> str:
    """Return what ORCA writes of a calculation with `EnGrad`."""
    rows = zip(atoms.symbols, atoms.positions, forces_of(atoms), strict=True)
    places, gradients = [], []
    for n, (symbol, position, force) in enumerate(rows, 1):
        places.append(f"  {symbol}  {' '.join(f'{x:.6f}' for x in position)}")
        gradient = -force * units.Bohr / units.Hartree
        gradients.append(f"   {n}   {symbol}   :  {' '.join(f'{x:.9f}' for x in gradient)}")
    return "\n".join(
        [
            "                                 * O   R   C   A *",
            "CARTESIAN COORDINATES (ANGSTROEM)",
            "---------------------------------",
            *places,
            "",
            f"Number of atoms                             ... {len(atoms):6d}",
            f"FINAL SINGLE POINT ENERGY   {remark}   {ENERGY / units.Hartree:.12f}".rstrip(),
            "CARTESIAN GRADIENT",
            "------------------",
            "",
            *gradients,
            "",
            "                             ****ORCA TERMINATED NORMALLY****",
            "",
        ]
    )

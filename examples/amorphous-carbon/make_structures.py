"""Writes structures/*.extxyz: diamond and graphite, and 32 atoms melted and quenched at six densities.

The melt is made by Tersoff's potential, as ASE has it: a start must be disordered, and need not be right.
Needs ASE only, and is seeded: 3 minutes of one core. Where another machine rounds differently, a melt goes another way
after some dozen steps; so the files are kept.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.tersoff import Tersoff, TersoffParameters
from ase.io import write
from ase.lattice.hexagonal import Graphite
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import thermalize_momenta
from ase.optimize import FIRE

FOLDER = Path(__file__).parent / "structures"
DENSITIES_G_PER_CM3 = [1.8, 2.2, 2.6, 2.9, 3.2, 3.5]
ATOMS = 32
CLOSEST_ANGSTROM = 1.25
MELT_KELVIN, MELT_STEPS = 8000, 300
END_KELVIN, QUENCH_STEPS, QUENCH_STAGES = 300, 500, 20
TIMESTEP_FS = 1.0
SEED = 5
# Tersoff, Phys. Rev. Lett. 61, 2879 (1988)
CARBON = TersoffParameters(
    m=3, gamma=1.0, lambda3=0.0, c=38049.0, d=4.3484, h=-0.57058, n=0.72751, beta=1.5724e-7,
    lambda2=2.2119, B=346.74, R=1.95, D=0.15, lambda1=3.4879, A=1393.6,
)  # fmt: skip


class CarbonTersoff(Tersoff):
    """Tersoff's carbon, with a finite bond order for atoms that have one neighbour: ASE 3.29 divides by zero there."""

    def __init__(self) -> None:
        super().__init__({("C", "C", "C"): CARBON})

    def _calc_bij_d(self, zeta: float, beta: float, n: float) -> float:
        return super()._calc_bij_d(max(zeta, 1e-9), beta, n)


def crystals() -> dict[str, Atoms]:
    """Return what is made without MD: lattice parameters near those of PBE, layers at the measured distance."""
    return {
        # axes along <110>, <110> and <100>: 2×2 cells of the (100) surface have room for two rows of dimers
        "diamond": bulk("C", "diamond", a=3.57, orthorhombic=True),
        "graphite": Graphite("C", latticeconstant={"a": 2.467, "c": 6.71}),
    }


def random_packing(density: float, rng: np.random.Generator) -> Atoms:
    """Return atoms at random in a cube, none closer than a bond is short."""
    grams = ATOMS * 12.011 * units._amu * 1000
    edge = (grams / density * 1e24) ** (1 / 3)
    atoms = Atoms(cell=[edge] * 3, pbc=True)
    while len(atoms) < ATOMS:
        more = atoms + Atoms("C", positions=[rng.uniform(0, edge, 3)])
        if len(more) == 1 or more.get_distances(-1, range(len(more) - 1), mic=True).min() > CLOSEST_ANGSTROM:
            atoms = more
    return atoms


def melted_and_quenched(density: float, rng: np.random.Generator) -> tuple[Atoms, Atoms]:
    """Return the melt, and what it becomes when it is cooled within half a picosecond."""
    atoms = random_packing(density, rng)
    atoms.calc = CarbonTersoff()
    FIRE(atoms, logfile=None).run(steps=10)
    thermalize_momenta(atoms, MELT_KELVIN, rng=rng)
    dynamics = Langevin(
        atoms, TIMESTEP_FS * units.fs, temperature_K=MELT_KELVIN, friction=0.02 / units.fs, fixcm=False, rng=rng
    )
    dynamics.run(MELT_STEPS)
    melt = bare(atoms)
    for kelvin in np.linspace(MELT_KELVIN, END_KELVIN, QUENCH_STAGES):
        dynamics.set_temperature(temperature_K=kelvin)
        dynamics.run(QUENCH_STEPS // QUENCH_STAGES)
    FIRE(atoms, logfile=None).run(steps=20)
    return melt, bare(atoms)


def bare(atoms: Atoms) -> Atoms:
    """Return positions and cell alone, wrapped."""
    copy = Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=True)
    copy.wrap()
    return copy


def save(name: str, structures: list[Atoms]) -> None:
    """Write one file."""
    write(FOLDER / f"{name}.extxyz", structures, columns=["symbols", "positions"])


def main() -> None:
    """Write all files."""
    for name, atoms in crystals().items():
        save(name, [bare(atoms)])
    rng = np.random.default_rng(SEED)
    pairs = []
    for density in DENSITIES_G_PER_CM3:
        pairs.append(melted_and_quenched(density, rng))
    save("melt", [melt for melt, _ in pairs])
    save("amorphous", [quenched for _, quenched in pairs])


if __name__ == "__main__":
    main()

"""Writes structures/*.extxyz: CoCrFeMnNi on 32 fcc sites, at random. Needs ASE only, and is seeded.

Displacements, strain and vacancies are not here: `perturb` of distill.yaml makes them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.io import write

FOLDER = Path(__file__).parent / "structures"
METALS = ["Co", "Cr", "Fe", "Mn", "Ni"]
LATTICE_ANGSTROM = 3.53
COUNT = 12
SEED = 5


def sites() -> Atoms:
    """Return the empty lattice: 2×2×2 cubic cells."""
    return bulk("Ni", "fcc", a=LATTICE_ANGSTROM, cubic=True).repeat((2, 2, 2))


def equimolar(rng: np.random.Generator) -> Atoms:
    """Return as equal shares as 32 sites allow, in random places; which metals have one atom more is drawn, too."""
    atoms = sites()
    shares = np.resize(rng.permutation(METALS), len(atoms))
    atoms.symbols = list(rng.permutation(shares))
    return atoms


def any_composition(rng: np.random.Generator) -> Atoms:
    """Return a composition drawn evenly from all (flat Dirichlet), in random places."""
    atoms = sites()
    atoms.symbols = list(rng.choice(METALS, size=len(atoms), p=rng.dirichlet(np.ones(len(METALS)))))
    return atoms


def main() -> None:
    """Write both sets."""
    rng = np.random.default_rng(SEED)
    for name, make in (("equimolar", equimolar), ("any-composition", any_composition)):
        write(FOLDER / f"{name}.extxyz", [make(rng) for _ in range(COUNT)], columns=["symbols", "positions"])


if __name__ == "__main__":
    main()

"""What the label pools are: a salt, an alloy and an oxide, as exploration gives them. Fixed before any method ran.

Each pool has far more frames of quiet conditions than of hot, compressed or defective ones: the rarest strata are 2.9 %
of it. Test frames come from trajectories of their own, the same number for each stratum.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.build import bulk, surface
from ase.spacegroup import crystal

from pfd_operator.contract.exploration import Ensemble
from pfd_operator.contract.tasks import MdTask

TYPE_MAP = ["Na", "K", "Cl", "Al", "Ni", "Cu", "O", "Ti", "Sr"]
TEST_FRAMES = 24
SAMPLE_EVERY = 5
TIMESTEP_FS = 2.0


@dataclass(frozen=True)
class Condition:
    """One stratum: where its trajectories start, how hot they are, and how many frames the pool has of it."""

    structure: str
    temperature_kelvin: float
    frames: int
    trajectories: int


@dataclass(frozen=True)
class Pool:
    """One material."""

    seed: int
    start: Callable[[str, np.random.Generator], Atoms]
    """Name of the structure → start of a trajectory, before it is rattled."""
    conditions: tuple[Condition, ...]

    def tasks(self, test: bool) -> list[tuple[str, MdTask]]:
        """Return (name, task) of every trajectory that is chosen from, or of those that errors are measured on."""
        result = []
        for number, condition in enumerate(self.conditions):
            frames, every = condition.frames // condition.trajectories, SAMPLE_EVERY
            if test:
                # over as long a time as those of the pool: later, a melt is what no frame of the pool shows
                frames, every = TEST_FRAMES, max(1, frames * every // TEST_FRAMES)
            for replica in range(1 if test else condition.trajectories):
                task = MdTask(
                    system=condition.structure,
                    stage=0,
                    ensemble=Ensemble.NVT,
                    temperature_kelvin=condition.temperature_kelvin,
                    pressure_bar=None,
                    timestep_fs=TIMESTEP_FS,
                    steps=frames * every,
                    sample_every=every,
                    replica=replica,
                    seed=self.seed + 100 * number + replica + (50 if test else 0),
                )
                kind = "test" if test else "pool"
                result.append((f"{kind}-{condition.structure}-{condition.temperature_kelvin:g}K-{replica}", task))
        return result


def salt(structure: str, rng: np.random.Generator) -> Atoms:
    """Return rocksalt NaCl, KCl or both, 14 to 16 atoms."""
    edge = {"KCl": 6.38, "mixture": 6.0, "melt": 6.05, "compressed": 5.35}.get(structure, 5.69)
    atoms = bulk("NaCl", "rocksalt", a=edge, cubic=True).repeat((2, 1, 1))
    if structure == "surface":
        return _slab(bulk("NaCl", "rocksalt", a=edge, cubic=True), layers=2)
    if structure == "Schottky":
        sodium, chlorine = (rng.choice(np.flatnonzero(atoms.numbers == number)) for number in (11, 17))
        del atoms[[int(sodium), int(chlorine)]]
    potassium = {"KCl": 8, "mixture": 4, "melt": 2}.get(structure, 0)
    _substitute(atoms, "Na", "K", potassium, rng)
    return atoms


def alloy(structure: str, rng: np.random.Generator) -> Atoms:
    """Return fcc Cu-Ni-Al, 15 or 16 atoms."""
    if structure == "L12":
        cell = bulk("Ni", "fcc", a=3.57, cubic=True)
        cell.symbols[0] = "Al"
        return cell.repeat((2, 2, 1))
    edge = {"aluminium-rich": 3.95, "compressed": 3.42}.get(structure, 3.63)
    atoms = bulk("Cu", "fcc", a=edge, cubic=True).repeat((2, 2, 1))
    if structure == "surface":
        atoms = _slab(bulk("Cu", "fcc", a=edge, cubic=True).repeat((2, 1, 1)), layers=2)
    if structure == "aluminium-rich":
        atoms.symbols[:] = "Al"
        _substitute(atoms, "Al", "Cu", 2, rng)
        _substitute(atoms, "Al", "Ni", 2, rng)
        return atoms
    _substitute(atoms, "Cu", "Ni", 4, rng)
    _substitute(atoms, "Cu", "Al", 2, rng)
    if structure == "vacancy":
        del atoms[5]
    return atoms


def oxide(structure: str, rng: np.random.Generator) -> Atoms:
    """Return SrTiO3 or rutile TiO2, 12 to 20 atoms."""
    if structure == "rutile":
        return _rutile().repeat((1, 1, 2))
    atoms = _perovskite().repeat((2, 2, 1))
    if structure == "compressed":
        atoms.set_cell(0.95 * atoms.cell.array, scale_atoms=True)
    elif structure == "sheared":
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + np.array([[0, 0.05, 0], [0.05, 0, 0], [0, 0, 0.04]])), True)
    elif structure == "vacancy":
        del atoms[int(rng.choice(np.flatnonzero(atoms.numbers == 8)))]
    elif structure == "surface":
        return _slab(_perovskite(), layers=4)
    return atoms


POOLS: Mapping[str, Pool] = {
    "salt": Pool(
        10_000,
        salt,
        (
            Condition("NaCl", 300.0, 800, 4),
            Condition("NaCl", 700.0, 560, 4),
            Condition("mixture", 500.0, 300, 3),
            Condition("melt", 1400.0, 120, 3),
            Condition("compressed", 700.0, 100, 2),
            Condition("Schottky", 700.0, 80, 2),
            Condition("surface", 500.0, 60, 2),
            Condition("KCl", 700.0, 60, 2),
        ),
    ),
    "alloy": Pool(
        20_000,
        alloy,
        (
            Condition("copper-rich", 300.0, 800, 4),
            Condition("copper-rich", 800.0, 560, 4),
            Condition("copper-rich", 1300.0, 300, 3),
            Condition("L12", 800.0, 120, 3),
            Condition("compressed", 800.0, 100, 2),
            Condition("vacancy", 1000.0, 80, 2),
            Condition("surface", 600.0, 60, 2),
            Condition("aluminium-rich", 600.0, 60, 2),
        ),
    ),
    "oxide": Pool(
        30_000,
        oxide,
        (
            Condition("SrTiO3", 300.0, 800, 4),
            Condition("SrTiO3", 700.0, 560, 4),
            Condition("SrTiO3", 1200.0, 300, 3),
            Condition("compressed", 700.0, 120, 2),
            Condition("sheared", 700.0, 100, 2),
            Condition("vacancy", 900.0, 80, 2),
            Condition("surface", 600.0, 60, 2),
            Condition("rutile", 900.0, 60, 2),
        ),
    ),
}


def known_crystals() -> dict[str, Atoms]:
    """Return what the pre-trained model has seen: crystals of the same elements, without their mixtures and defects."""
    l12 = bulk("Ni", "fcc", a=3.57, cubic=True)
    l12.symbols[0] = "Al"
    crystals = {
        "NaCl": bulk("NaCl", "rocksalt", a=5.69, cubic=True),
        "KCl": bulk("KCl", "rocksalt", a=6.38, cubic=True),
        "Ni3Al": l12.repeat((2, 1, 1)),
        "SrO": bulk("SrO", "rocksalt", a=5.2, cubic=True),
        "SrTiO3": _perovskite().repeat((2, 1, 1)),
        "TiO2": _rutile(),
    }
    for symbol, edge in {"Al": 4.04, "Ni": 3.52, "Cu": 3.63}.items():
        crystals[symbol] = bulk(symbol, "fcc", a=edge, cubic=True).repeat((2, 1, 1))
    return crystals


def _perovskite() -> Atoms:
    positions = [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0)]
    return crystal(["Sr", "Ti", "O"], positions, spacegroup=221, cellpar=[3.94, 3.94, 3.94, 90, 90, 90])


def _rutile() -> Atoms:
    return crystal(["Ti", "O"], [(0, 0, 0), (0.305, 0.305, 0)], spacegroup=136, cellpar=[4.65, 4.65, 2.97, 90, 90, 90])


def _slab(atoms: Atoms, layers: int) -> Atoms:
    slab = surface(atoms, (0, 0, 1), layers, vacuum=4.0)
    slab.pbc = True
    return slab


def _substitute(atoms: Atoms, old: str, new: str, count: int, rng: np.random.Generator) -> None:
    sites = np.flatnonzero(np.array(atoms.get_chemical_symbols()) == old)
    for site in rng.choice(sites, count, replace=False):
        atoms.symbols[int(site)] = new

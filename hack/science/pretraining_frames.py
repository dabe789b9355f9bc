"""Frames for the example's pre-trained model: group-IV crystals, compounds and melts, labelled by SevenNet 7net-0.

Every trajectory is molecular dynamics of 8 to 16 atoms with SevenNet's forces, in a cell strained at random, from
seeds of its own; trajectories named hold-out are never trained on. A trajectory that has its file is not run again, so
an interrupted run goes on where it stopped.

    pretraining_frames.py --output build/pretraining [--part 0 --parts 2] [--steps 60]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.calculator import Calculator
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from ase.md.langevin import Langevin
from ase.md.nptberendsen import NPTBerendsen
from ase.md.velocitydistribution import Stationary, thermalize_momenta
from ase.spacegroup import crystal
from sevenn.calculator import SevenNetCalculator

# Lattice parameters in Å, near those of the PBE functional that SevenNet's training data was made with.
DIAMOND = {"Si": 5.47, "Ge": 5.76}
BETA_TIN = {"Si": (4.81, 2.65), "Ge": (5.20, 2.85)}
ZINCBLENDE = {("Si", "C"): 4.38, ("Si", "Ge"): 5.61, ("Ge", "Sn"): 6.22}
COMPRESSIBILITY_PER_BAR = 1.0e-6


@dataclass(frozen=True)
class Trajectory:
    """One MD run: where it starts, its conditions and its seed."""

    name: str
    branch: str
    material: str
    temperature_kelvin: float
    pressure_bar: float | None
    timestep_fs: float
    steps: int
    sample_every: int
    seed: int
    hold_out: bool


def starts() -> dict[str, tuple[str, Atoms]]:
    """Return branch and structure of every material, keyed by its name."""
    materials: dict[str, tuple[str, Atoms]] = {}
    for symbol, a in DIAMOND.items():
        materials[f"{symbol}-diamond"] = ("Group_IV_Elements", bulk(symbol, "diamond", a=a, cubic=True))
        length, height = BETA_TIN[symbol]
        tin = crystal(symbol, [(0, 0, 0)], spacegroup=141, cellpar=[length, length, height, 90, 90, 90])
        materials[f"{symbol}-beta-tin"] = ("Group_IV_Elements", tin.repeat((1, 1, 2)))
        # 9 % denser than the crystal, as the melts of Si and Ge are.
        materials[f"{symbol}-melt"] = ("Group_IV_Elements", bulk(symbol, "diamond", a=0.97 * a, cubic=True))
    for (first, second), a in ZINCBLENDE.items():
        pair = bulk(f"{first}{second}", "zincblende", a=a, cubic=True)
        materials[f"{first}{second}-zincblende"] = ("Group_IV_Compounds", pair)
        if "C" not in (first, second):
            materials[f"{first}{second}-alloy"] = ("Group_IV_Compounds", pair.repeat((1, 1, 2)))
    return materials


def plan(steps: int) -> Iterator[Trajectory]:
    """Yield all trajectories, those of silicon and the hold-out first."""
    names = sorted(starts(), key=lambda name: (not name.startswith("Si-"), name))
    for material in names:
        melt, stiff = material.endswith("melt"), "C" in material.split("-")[0]
        temperatures = (1800.0, 2500.0) if melt else (300.0, 600.0, 900.0, 1200.0, 1500.0)
        replicas = 4 if material == "Si-diamond" else 1
        timestep_fs = 1.5 if stiff else 2.5
        branch = starts()[material][0]
        for i, temperature in enumerate(temperatures):
            for replica in range(replicas):
                seed = 1000 * (names.index(material) + 1) + 10 * i + replica
                name = f"{material}-{temperature:g}K-{replica}"
                yield Trajectory(name, branch, material, temperature, None, timestep_fs, steps, 4, seed, False)
        pressures = (1.0, 10000.0) if material == "Si-diamond" else (1.0,)
        for i, temperature in enumerate(temperatures[:3]):
            for j, pressure in enumerate(pressures):
                if material != "Si-diamond" and i != 1:
                    continue
                seed = 1000 * (names.index(material) + 1) + 900 + 10 * i + j
                name = f"{material}-{temperature:g}K-{pressure:g}bar-hold-out"
                # Fewer frames further apart: a hold-out of correlated frames would say little.
                length = max(steps, 60)
                yield Trajectory(name, branch, material, temperature, pressure, timestep_fs, length, 12, seed, True)


def start_of(trajectory: Trajectory) -> Atoms:
    """Return the structure a trajectory starts from: shuffled where it is an alloy, rattled and strained."""
    rng = np.random.default_rng(trajectory.seed)
    atoms: Atoms = starts()[trajectory.material][1].copy()
    if trajectory.material.endswith("alloy"):
        atoms.set_atomic_numbers(rng.permutation(atoms.get_atomic_numbers()))
    strain = np.zeros((3, 3)) if trajectory.hold_out else rng.normal(0.0, 0.02, (3, 3))
    strain = 0.5 * (strain + strain.T) + np.eye(3) * (0.0 if trajectory.hold_out else rng.uniform(-0.03, 0.03))
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    atoms.rattle(0.25 if trajectory.material.endswith("melt") else 0.05, rng=rng)
    # Half of the kinetic energy of a crystal at rest goes into its springs.
    thermalize_momenta(atoms, 1.8 * trajectory.temperature_kelvin, rng=rng)
    Stationary(atoms)
    return atoms


def sevennet() -> SevenNetCalculator:
    """Return the potential that labels, on one core."""
    torch.set_num_threads(1)
    # The TorchScript fuser compiles anew for each number of neighbours, which takes longer than the MD.
    torch._C._jit_set_texpr_fuser_enabled(False)
    torch._C._jit_set_profiling_executor(False)
    return SevenNetCalculator("7net-0", device="cpu")


def labelled(atoms: Atoms, trajectory: Trajectory) -> Atoms:
    """Return a copy with energy (eV), forces (eV/Å) and stress (eV/Å³) of the calculator, and its origin."""
    frame = Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=True)
    frame.calc = SinglePointCalculator(
        frame,
        energy=atoms.get_potential_energy(force_consistent=True),
        forces=atoms.get_forces(),
        stress=atoms.get_stress(),
    )
    frame.info.update(
        trajectory=trajectory.name,
        material=trajectory.material,
        branch=trajectory.branch,
        temperature_kelvin=trajectory.temperature_kelvin,
        hold_out=trajectory.hold_out,
    )
    return frame


def simulate(trajectory: Trajectory, calculator: Calculator) -> list[Atoms]:
    """Run one trajectory and return its labelled frames; one whose forces exceed 30 eV/Å ends there."""
    atoms = start_of(trajectory)
    atoms.calc = calculator
    timestep = trajectory.timestep_fs * units.fs
    rng = np.random.default_rng(trajectory.seed + 7)
    if trajectory.pressure_bar is None:
        friction = 0.02 / units.fs
        dynamics = Langevin(atoms, timestep, temperature_K=trajectory.temperature_kelvin, friction=friction, rng=rng)
    else:
        dynamics = NPTBerendsen(
            atoms,
            timestep,
            temperature_K=trajectory.temperature_kelvin,
            pressure_au=trajectory.pressure_bar * units.bar,
            taut=50 * units.fs,
            taup=200 * units.fs,
            compressibility_au=COMPRESSIBILITY_PER_BAR / units.bar,
        )
    frames: list[Atoms] = []
    for step in range(0, trajectory.steps + 1, trajectory.sample_every):
        if step:
            dynamics.run(trajectory.sample_every)
        if np.abs(atoms.get_forces()).max() > 30.0:
            break
        if not (trajectory.hold_out and step < 20):
            frames.append(labelled(atoms, trajectory))
    return frames


def main(arguments: list[str] | None = None) -> int:
    """Run the trajectories of one part that have no file yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="folder of the trajectories (extended XYZ)")
    parser.add_argument("--part", type=int, default=0, help="which part of the work this process does")
    parser.add_argument("--parts", type=int, default=1, help="number of processes that share the work")
    parser.add_argument("--steps", type=int, default=60, help="MD steps of each trajectory")
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    calculator = sevennet()
    for i, trajectory in enumerate(plan(options.steps)):
        path = options.output / f"{trajectory.name}.extxyz"
        if i % options.parts != options.part or path.exists():
            continue
        frames = simulate(trajectory, calculator)
        partial = path.with_suffix(".partial")
        write(partial, frames, format="extxyz")
        partial.rename(path)
        print(f"{trajectory.name}: {len(frames)} frames", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

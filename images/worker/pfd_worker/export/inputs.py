"""Inputs that run the exported model at once: LAMMPS, and a script for ASE."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ase import Atoms
from ase.data import atomic_masses, atomic_numbers
from ase.io import write

DATA_FILE, LAMMPS_FILE, ASE_FILE = "data.lammps", "in.lammps", "run_ase.py"

_LAMMPS = """\
# Runs {model} in LAMMPS with deepmd-kit's plugin (package USER-DEEPMD); units metal: eV, Å, ps, K, bar.
units           metal
boundary        p p p
atom_style      atomic
read_data       {data}
{masses}
pair_style      deepmd {model}
pair_coeff      * * {elements}
neighbor        1.0 bin
velocity        all create {temperature:g} {seed} mom yes rot no
timestep        {timestep_ps:g}
thermo          100
thermo_style    custom step temp pe etotal press vol
fix             1 all npt temp {temperature:g} {temperature:g} {temperature_damping_ps:g} &
                iso {pressure:g} {pressure:g} {pressure_damping_ps:g}
run             1000
"""

_ASE = '''\
"""Runs {model} by ASE: single point, then 100 steps of MD at constant energy. Needs deepmd-kit >= 3.2 with PyTorch."""

from pathlib import Path

import torch
from ase import units
from ase.io import read
from ase.md.velocitydistribution import thermalize_momenta
from ase.md.verlet import VelocityVerlet
from deepmd.calculator import DP

# some builds of torch compile for minutes at the first call otherwise
torch._C._jit_set_texpr_fuser_enabled(False)

here = Path(__file__).parent
atoms = read(here / "{data}", format="lammps-data", atom_style="atomic")
atoms.calc = DP(model=here / "{model}")
print(f"energy {{atoms.get_potential_energy():.6f}} eV, largest force {{abs(atoms.get_forces()).max():.4f}} eV/Å")
thermalize_momenta(atoms, {temperature:g})
VelocityVerlet(atoms, timestep={timestep_fs:g} * units.fs).run(100)
print(f"energy {{atoms.get_potential_energy():.6f}} eV, temperature {{atoms.get_temperature():.0f}} K after 100 steps")
'''


def write_inputs(
    folder: Path,
    atoms: Atoms,
    type_map: Sequence[str],
    model: str,
    temperature_kelvin: float,
    pressure_bar: float,
    timestep_fs: float,
    seed: int,
) -> list[str]:
    """Write data and inputs beside the model; return the files' names.

    Parameters
    ----------
    folder
        Where the model is.
    atoms
        The structure they start from, periodic.
    type_map
        Elements in the model's order: LAMMPS types 1, 2, ….
    model
        File name of the model.
    temperature_kelvin, pressure_bar, timestep_fs, seed
        Of the MD. Damping times are 100 and 1000 timesteps, LAMMPS' own advice for fix npt.
    """
    # the masses make ASE recognise the elements when it reads the file back
    write(folder / DATA_FILE, atoms, format="lammps-data", specorder=list(type_map), masses=True, atom_style="atomic")
    lines = [f"mass            {n} {atomic_masses[atomic_numbers[e]]:.6f}" for n, e in enumerate(type_map, 1)]
    (folder / LAMMPS_FILE).write_text(
        _LAMMPS.format(
            model=model,
            data=DATA_FILE,
            masses="\n".join(lines),
            elements=" ".join(type_map),
            temperature=temperature_kelvin,
            pressure=pressure_bar,
            seed=seed % 900_000_000 + 1,
            timestep_ps=timestep_fs / 1000,
            temperature_damping_ps=0.1 * timestep_fs,
            pressure_damping_ps=timestep_fs,
        )
    )
    (folder / ASE_FILE).write_text(
        _ASE.format(model=model, data=DATA_FILE, temperature=temperature_kelvin, timestep_fs=timestep_fs)
    )
    return [DATA_FILE, LAMMPS_FILE, ASE_FILE]

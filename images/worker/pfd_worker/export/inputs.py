"""Inputs that run the exported model as they are: LAMMPS and ASE."""

from __future__ import annotations

from collections.abc import Sequence

from ase.data import atomic_masses, atomic_numbers

from pfd_operator.contract.exploration import Barostat
from pfd_worker.export.card import MdConditions

STRUCTURE, DATA, DUMP = "structure.extxyz", "data.lammps", "dump.lammpstrj"
_THERMOSTAT_PS, _BAROSTAT_PS = 0.1, 1.0
_MOVED = {Barostat.ISOTROPIC: "iso", Barostat.FLEXIBLE: "tri"}


def lammps_input(name: str, model: str, type_map: Sequence[str], conditions: MdConditions, slab: bool) -> str:
    """Return in.lammps: MD at constant pressure, or at constant volume if the conditions name no pressure.

    Parameters
    ----------
    name
        Of the model, for the first comment.
    model
        File of the model in the same folder.
    type_map
        Elements in the model's order: atom type 1, 2, … of data.lammps.
    conditions
        Temperature, pressure, barostat, timestep and seed. With a flexible cell the box of data.lammps has to be
        triclinic, be its angles right ones or not.
    slab
        The third vector of the cell holds vacuum, which is not repeated.
    """
    types = "\n".join(
        f"mass {number} {atomic_masses[atomic_numbers[element]]:.4f}  # {element}"
        for number, element in enumerate(type_map, start=1)
    )
    integrator = f"nvt temp ${{temperature}} ${{temperature}} {_THERMOSTAT_PS:g}"
    pressure = ""
    if conditions.pressure_bar is not None:
        pressure = f"variable pressure index {conditions.pressure_bar:g}  # bar\n"
        moved = _MOVED[conditions.barostat or Barostat.ISOTROPIC]
        integrator = f"npt temp ${{temperature}} ${{temperature}} {_THERMOSTAT_PS:g} "
        integrator += f"{moved} ${{pressure}} ${{pressure}} {_BAROSTAT_PS:g}"
    elements = " ".join(type_map)
    repeated, third = ("its first two vectors", "1") if slab else ("each of its vectors", "${repeat}")
    # LAMMPS takes seeds from 1 to 900 million, other than Python
    seed = conditions.seed % 900_000_000 + 1
    return f"""\
# MD with {name}. In this folder:  lmp -in in.lammps
# Any variable can be given on the command line:  lmp -in in.lammps -var steps 10000 -var temperature 600 -var repeat 20
# If your LAMMPS has deepmd-kit as a plugin, set LAMMPS_PLUGIN_PATH to the folder of dpplugin.so, or uncomment:
# plugin load libdeepmd_lmp.so

variable model index {model}
variable temperature index {conditions.temperature_kelvin:g}  # K
{pressure}variable steps index 100
variable repeat index 1  # times the cell of {DATA} along {repeated}
variable dump index 1000  # steps between frames of {DUMP}

units metal
boundary p p p
atom_style atomic
read_data {DATA}
replicate ${{repeat}} ${{repeat}} {third}
{types}

pair_style deepmd ${{model}}
pair_coeff * * {elements}

neighbor 2.0 bin
timestep {conditions.timestep_fs / 1000:g}  # ps
velocity all create ${{temperature}} {seed} mom yes rot no dist gaussian
fix integrate all {integrator}

dump frames all custom ${{dump}} {DUMP} id type element x y z
dump_modify frames element {elements}
thermo 10
thermo_style custom step temp pe ke etotal press vol density
run ${{steps}}
"""


def ase_script(name: str, model: str, conditions: MdConditions) -> str:
    """Return run_ase.py: energy, forces and pressure of the structure, then MD at constant temperature.

    Parameters
    ----------
    name
        Of the model, for the first line.
    model
        File of the model in the same folder.
    conditions
        Temperature, timestep and seed.
    """
    return f'''\
"""Energy, forces, pressure and MD with {name}. Needs deepmd-kit (PyTorch) and ASE:  python run_ase.py --help"""

import argparse
from pathlib import Path

import numpy as np
import torch
from ase import units
from ase.io import read
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
from deepmd.calculator import DP

here = Path(__file__).parent
parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--model", type=Path, default=here / "{model}")
parser.add_argument("--structure", type=Path, default=here / "{STRUCTURE}", help="any file that ASE reads")
parser.add_argument("--steps", type=int, default=20)
parser.add_argument("--temperature", type=float, default={conditions.temperature_kelvin:g}, help="K")
arguments = parser.parse_args()

# Some builds of torch compile for minutes at the first call unless this fuser is off
torch._C._jit_set_texpr_fuser_enabled(False)

atoms = read(arguments.structure)
atoms.calc = DP(model=arguments.model)
print(f"energy    {{atoms.get_potential_energy():.8f}} eV for {{len(atoms)}} atoms")
print(f"forces    {{np.abs(atoms.get_forces()).max():.6f}} eV/Å at most")
# only what is periodic in all directions has a pressure; of a molecule the calculator tells no stress at all
if atoms.pbc.all():
    print(f"pressure  {{-atoms.get_stress()[:3].mean() / units.GPa:.4f}} GPa, without the ideal-gas part")

rng = np.random.default_rng({conditions.seed})
MaxwellBoltzmannDistribution(atoms, temperature_K=arguments.temperature, rng=rng)
dynamics = Langevin(
    atoms, {conditions.timestep_fs:g} * units.fs, temperature_K=arguments.temperature, friction=0.01 / units.fs, rng=rng
)


def report():
    total = atoms.get_total_energy() / len(atoms)
    print(f"step {{dynamics.nsteps:6d}}  {{atoms.get_temperature():8.1f}} K  {{total:12.6f}} eV/atom")


dynamics.attach(report, interval=10)
dynamics.run(arguments.steps)
'''

"""Integrators for the ensembles, chosen for small cells and for models that may be wrong."""

from __future__ import annotations

import warnings

import numpy as np
from ase import Atoms, units
from ase.md.langevinbaoab import LangevinBAOAB
from ase.md.md import MolecularDynamics
from ase.md.verlet import VelocityVerlet

from pfd_operator.contract.exploration import BAROSTAT_FS, THERMOSTAT_FS, Barostat, Ensemble
from pfd_operator.contract.tasks import MdTask
from pfd_worker.velocities import draw_velocities

# it says which mass it derives from P_tau: that is what we want it to do
warnings.filterwarnings("ignore", category=UserWarning, module=r"ase\.md\.langevinbaoab")


def make_dynamics(atoms: Atoms, task: MdTask, ensemble: Ensemble) -> MolecularDynamics:
    """Give the atoms velocities and return the integrator of an ensemble.

    NVT and NPT are Langevin dynamics (BAOAB splitting; the barostat of Quigley and Probert, for the volume or the whole
    cell): a stochastic thermostat is ergodic for cells of a few atoms, where a Nosé-Hoover chain oscillates instead,
    and it takes heat out as fast as a wrong model puts it in. NVE is velocity Verlet.

    Parameters
    ----------
    atoms
        With a calculator; gets Maxwell-Boltzmann velocities from the task's seed, without drift.
    task
        Temperature, pressure, timestep and seed.
    ensemble
        What is really run, for systems that cannot be run at constant pressure.
    """
    rng = np.random.default_rng(task.seed)
    draw_velocities(atoms, task.temperature_kelvin, rng)
    timestep = task.timestep_fs * units.fs
    if ensemble is Ensemble.NVE:
        return VelocityVerlet(atoms, timestep)
    pressure = None
    if ensemble is Ensemble.NPT:
        pressure = -(task.pressure_bar or 0.0) * 1e5 * units.Pascal
    return LangevinBAOAB(
        atoms,
        timestep,
        temperature_K=task.temperature_kelvin,
        externalstress=pressure,
        hydrostatic=pressure is not None and task.barostat is Barostat.ISOTROPIC,
        T_tau=THERMOSTAT_FS * units.fs,
        P_tau=BAROSTAT_FS * units.fs,
        rng=rng,
    )

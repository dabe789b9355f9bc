"""MD conditions of the acceptance tests, as tasks of the MD engine."""

from __future__ import annotations

import math

from pfd_operator.contract.settings import Ensemble, MdTask

FS_PER_PS = 1000.0


def md_task(
    ensemble: Ensemble,
    temperature_kelvin: float,
    picoseconds: float,
    timestep_fs: float,
    seed: int,
    pressure_bar: float | None = None,
    sample_fs: float = 10.0,
) -> MdTask:
    """Return the task of one trajectory, at least one step long.

    Parameters
    ----------
    ensemble, temperature_kelvin, pressure_bar
        Conditions.
    picoseconds
        Length; whole steps are no shorter than it.
    timestep_fs
        Timestep.
    seed
        Of velocities and thermostat.
    sample_fs
        Time between samples, rounded to whole steps.
    """
    return MdTask(
        system="acceptance",
        stage=0,
        ensemble=ensemble,
        temperature_kelvin=temperature_kelvin,
        pressure_bar=pressure_bar,
        timestep_fs=timestep_fs,
        # a length that is a whole number of steps stays one, whatever its last digit
        steps=max(1, math.ceil(picoseconds * FS_PER_PS / timestep_fs - 1e-9)),
        sample_every=max(1, round(sample_fs / timestep_fs)),
        replica=0,
        seed=seed,
    )

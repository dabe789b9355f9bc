"""MD conditions of the acceptance tests, as tasks of the MD engine."""

from __future__ import annotations

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
    """Return the task of one trajectory; times are rounded to whole steps, at least one.

    Parameters
    ----------
    ensemble, temperature_kelvin, pressure_bar
        Conditions.
    picoseconds
        Length.
    timestep_fs
        Timestep.
    seed
        Of velocities and thermostat.
    sample_fs
        Time between samples.
    """
    return MdTask(
        system="acceptance",
        stage=0,
        ensemble=ensemble,
        temperature_kelvin=temperature_kelvin,
        pressure_bar=pressure_bar,
        timestep_fs=timestep_fs,
        steps=max(1, round(picoseconds * FS_PER_PS / timestep_fs)),
        sample_every=max(1, round(sample_fs / timestep_fs)),
        replica=0,
        seed=seed,
    )

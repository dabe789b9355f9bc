"""Velocities at random: where MD of a model and MD of the reference begin."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.md.velocitydistribution import Stationary, thermalize_momenta


def draw_velocities(atoms: Atoms, temperature_kelvin: float, rng: np.random.Generator) -> None:
    """Give atoms Maxwell-Boltzmann velocities, and take their common drift away.

    The energy of the drift is not given to the other degrees of freedom: scaled up to 3N/2 kT, two atoms would begin
    at twice the temperature, and one atom would divide by nothing.

    Parameters
    ----------
    atoms
        Get momenta.
    temperature_kelvin
        Of their 3N - 3 degrees of freedom.
    rng
        Source of chance.
    """
    thermalize_momenta(atoms, temperature_kelvin, rng=rng)
    Stationary(atoms, preserve_temperature=False)

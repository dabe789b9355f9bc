"""Errors that a model may have."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .base import Positive, Strict

Quantity = Literal["energy", "virial"]
"""What may have a limit; forces have one in any case."""


class ErrorLimits(Strict):
    """Largest errors, and how often in a row all of them have to hold."""

    force_rmse: Positive = Field(alias="forceRMSE", description="Largest RMSE of force components, in eV/Å.")
    energy_rmse_per_atom: Positive | None = Field(
        None, alias="energyRMSEPerAtom", description="Largest RMSE of the energy per atom, in eV. Default: no limit."
    )
    virial_rmse_per_atom: Positive | None = Field(
        None,
        alias="virialRMSEPerAtom",
        description="Largest RMSE of virial components per atom, in eV. Default: no limit.",
    )
    consecutive: int = Field(2, ge=1, le=100, description="Iterations in a row in which all limits hold. Default 2.")

    @property
    def limited(self) -> list[Quantity] | None:
        """What has a limit beside the forces; None if nothing has."""
        given: dict[Quantity, float | None] = {"energy": self.energy_rmse_per_atom, "virial": self.virial_rmse_per_atom}
        return [quantity for quantity, limit in given.items() if limit is not None] or None


class Convergence(ErrorLimits):
    """When the model is good: all given limits hold, for unseen labels and for the hold-out."""

    confidence: float | None = Field(
        None,
        ge=0.5,
        le=0.999,
        description="Probability with which the RMSEs are within their limits: compares the upper end of the one-sided "
        "interval, e.g. at 0.95. Default: the RMSEs themselves.",
    )
    every_stratum: bool = Field(
        False,
        description="The RMSEs of each system, temperature and pressure are within the limits, too. Default false.",
    )
    novel_fraction: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Largest part of the MD's candidate frames that is new to the training set. Default: no limit.",
    )
    exploded_fraction: float | None = Field(
        None, ge=0, le=1, description="Largest part of the MD's trajectories that explode. Default: no limit."
    )

"""What a distillation computes: how the student is judged. Written by users, read by stage containers."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from .base import Count, Positive
from .limits import ErrorLimits
from .student import StudentTraining
from .systems import LabelledData


class StartFrom(StrEnum):
    """What each round's training starts from, after the first."""

    SCRATCH = "Scratch"
    LAST_ROUND = "LastRound"


class RoundTraining(StudentTraining):
    """Training of the student by deepmd-kit's PyTorch backend, in every round."""

    start_from: StartFrom = Field(
        StartFrom.SCRATCH, description="Each round trains from Scratch, or goes on from LastRound. Default Scratch."
    )


class Acceptance(ErrorLimits):
    """When the student is good enough; every limit given must hold, and what it was is in the status.

    The errors are those against the teacher on the frozen hold-out. In a row they also end the rounds.
    """

    consecutive: int = Field(1, ge=1, le=100, description="Rounds in a row in which these errors hold. Default 1.")
    dft_force_ratio: Positive | None = Field(
        None,
        description="Largest force RMSE against DFT, as a multiple of the teacher's own. Needs dftData or "
        "teacher.fineTuneJob. Default: no limit.",
    )
    # None and no empty list: what is absent is in no digest of a stage
    dft_data: list[LabelledData] | None = Field(
        None,
        min_length=1,
        max_length=64,
        description="DFT frames that teacher and student are measured on, and that nothing is trained on. Default: the "
        "hold-out of teacher.fineTuneJob.",
    )
    speedup: Positive | None = Field(
        None, description="Least speed-up over the teacher at the first of `sizes`. Default: no limit."
    )
    sizes: list[Annotated[Count, Field(le=100_000)]] = Field(
        [108, 500, 4000],
        min_length=1,
        max_length=8,
        description="Atoms at which both are timed, about. Default [108, 500, 4000].",
    )
    stable_md_picoseconds: float = Field(
        5.0,
        alias="stableMDPicoseconds",
        gt=0,
        le=100000,
        description="Least time of MD without an explosion and at its temperature, for every system at its extreme "
        "conditions, in ps. Default 5.",
    )
    nve_drift_mev_per_atom_ps: Positive | None = Field(
        None,
        alias="nveDriftMeVPerAtomPs",
        description="Largest drift of the energy in NVE MD, in meV per atom and ps. Default: no limit.",
    )
    rdf_overlap: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Least overlap of radial distribution functions with the teacher's MD, 0 to 1. Default: no limit.",
    )

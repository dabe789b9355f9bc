"""FineTuneJob: a pre-trained model becomes one of DFT accuracy for one material."""

from __future__ import annotations

from pydantic import Field, model_validator

from pfd_operator.contract.base import invalid_at
from pfd_operator.contract.labeling import PROGRAM_NEEDS_IMAGE, Labeling
from pfd_operator.contract.limits import Convergence
from pfd_operator.contract.model_source import ModelSource
from pfd_operator.contract.selection import Aimd, HoldOut
from pfd_operator.contract.systems import HoldOutData, LabelledData
from pfd_operator.contract.training import FineTuning

from . import job
from .job import JobSpec

_NO_MD_BY_A_PROGRAM = (
    "labeling.engine.program computes single points only: set aimd.steps to 1, which labels as many perturbed starts "
    "as there are aimd.trajectories"
)
_FRAMES_DEFAULT = HoldOut.model_fields["frames"].default
_ALL_IS_GIVEN = "holdout.data is all of the hold-out, and nothing is labelled for it: leave holdout.frames out"
_NO_NOISE_OF_GIVEN = (
    "labeling.noiseCheck labels frames of the hold-out once more, and those of holdout.data are not the engine's: give "
    "one of the two"
)
_SYSTEM_OF_NO_NAME = "holdout.data: system must be the name of one of systems"


class FineTuneHoldOut(HoldOut):
    """The frozen hold-out: DFT-labelled frames of trajectories of their own, or of the user, never trained on."""

    data: list[HoldOutData] = Field(
        [], max_length=64, description="Labelled frames that are the hold-out, instead of frames. Default: none."
    )

    @property
    def labels(self) -> int:
        """How many frames the job has labelled for it: of one that is given, none."""
        return 0 if self.data else self.frames

    @model_validator(mode="after")
    def _is_given_or_made(self) -> FineTuneHoldOut:
        if self.data and self.frames != _FRAMES_DEFAULT:
            raise invalid_at(("frames",), _ALL_IS_GIVEN, self.frames)
        return self


class FineTuneJobSpec(JobSpec):
    """What a FineTuneJob is asked to do."""

    model: ModelSource = Field(description="The pre-trained model: exactly one of uri, pretrained; and its branch.")
    data: list[LabelledData] = Field([], max_length=64, description="Labelled frames to start from. Default: none.")
    holdout: FineTuneHoldOut = Field(FineTuneHoldOut(), description="The frozen hold-out.")
    aimd: Aimd = Field(Aimd(), description="Short ab-initio MD whose steps are the first training frames.")
    labeling: Labeling = Field(description="The reference method: what computes labels.")
    training: FineTuning = Field(FineTuning(), description="How the model is fine-tuned.")
    convergence: Convergence = Field(description="When the model is good enough.")

    @model_validator(mode="after")
    def _a_program_runs_no_md(self) -> FineTuneJobSpec:
        if self.labeling.engine.program is not None and self.aimd.trajectories and self.aimd.steps > 1:
            raise invalid_at(("aimd", "steps"), _NO_MD_BY_A_PROGRAM, self.aimd.steps)
        return self

    @model_validator(mode="after")
    def _a_given_holdout_fits(self) -> FineTuneJobSpec:
        if self.holdout.data and self.labeling.noise_check is not None:
            raise invalid_at(("labeling", "noiseCheck"), _NO_NOISE_OF_GIVEN, self.labeling.noise_check)
        named = {data.system for data in self.holdout.data if data.system is not None}
        if not named.issubset(self.system_names):
            raise invalid_at(("holdout", "data"), _SYSTEM_OF_NO_NAME, sorted(named))
        return self


RULES = (
    *job.RULES,
    {
        "rule": "self.aimd.trajectories * self.aimd.steps + "
        "(self.holdout.data.size() > 0 ? 0 : self.holdout.frames) + "
        "(has(self.labeling.noiseCheck) ? self.labeling.noiseCheck.frames : 0) <= self.budget.maxLabels",
        "message": "budget.maxLabels is less than aimd.trajectories × aimd.steps + holdout.frames (none with "
        "holdout.data) + labeling.noiseCheck.frames, which the first iteration needs",
    },
    {
        "rule": "!has(self.labeling.noiseCheck) || self.labeling.noiseCheck.frames <= self.holdout.frames",
        "message": "labeling.noiseCheck.frames are frames of the hold-out, and more than holdout.frames",
    },
    {
        # the API server fills in the default of who gives none
        "rule": f"self.holdout.data.size() == 0 || self.holdout.frames == {_FRAMES_DEFAULT}",
        "message": _ALL_IS_GIVEN,
    },
    {
        "rule": "self.holdout.data.size() == 0 || !has(self.labeling.noiseCheck)",
        "message": _NO_NOISE_OF_GIVEN,
    },
    {
        "rule": "self.holdout.data.all(d, !has(d.system) || self.systems.exists(s, s.name == d.system))",
        "message": _SYSTEM_OF_NO_NAME,
    },
    {
        "rule": "self.aimd.trajectories > 0 || self.data.size() > 0",
        "message": "aimd.trajectories = 0 leaves nothing to train on at first: give data, or let AIMD run",
    },
    {
        "rule": "!has(self.labeling.engine.program) || has(self.labeling.image)",
        "message": f"labeling.image: {PROGRAM_NEEDS_IMAGE}",
    },
    {
        "rule": "!has(self.labeling.engine.program) || self.aimd.trajectories == 0 || self.aimd.steps == 1",
        "message": _NO_MD_BY_A_PROGRAM,
    },
)
"""What the API server checks across fields."""

"""FineTuneJob: a pre-trained model becomes one of DFT accuracy for one material."""

from __future__ import annotations

from pydantic import Field, model_validator

from pfd_operator.contract.base import invalid_at
from pfd_operator.contract.labeling import PROGRAM_NEEDS_IMAGE, Labeling
from pfd_operator.contract.limits import Convergence
from pfd_operator.contract.model_source import ModelSource
from pfd_operator.contract.selection import Aimd
from pfd_operator.contract.systems import LabelledData
from pfd_operator.contract.training import Training

from . import job
from .job import JobSpec

_NO_MD_BY_A_PROGRAM = (
    "labeling.engine.program computes single points only: set aimd.steps to 1, which labels as many perturbed starts "
    "as there are aimd.trajectories"
)


class FineTuneJobSpec(JobSpec):
    """What a FineTuneJob is asked to do."""

    model: ModelSource = Field(description="The pre-trained model: exactly one of uri, pretrained; and its branch.")
    data: list[LabelledData] = Field([], max_length=64, description="Labelled frames to start from. Default: none.")
    aimd: Aimd = Field(Aimd(), description="Short ab-initio MD whose steps are the first training frames.")
    labeling: Labeling = Field(description="The reference method: what computes labels.")
    training: Training = Field(Training(), description="How the model is fine-tuned.")
    convergence: Convergence = Field(description="When the model is good enough.")

    @model_validator(mode="after")
    def _a_program_runs_no_md(self) -> FineTuneJobSpec:
        if self.labeling.engine.program is not None and self.aimd.trajectories and self.aimd.steps > 1:
            raise invalid_at(("aimd", "steps"), _NO_MD_BY_A_PROGRAM, self.aimd.steps)
        return self


RULES = (
    *job.RULES,
    {
        "rule": "self.aimd.trajectories * self.aimd.steps + self.holdout.frames + "
        "(has(self.labeling.noiseCheck) ? self.labeling.noiseCheck.frames : 0) <= self.budget.maxLabels",
        "message": "budget.maxLabels is less than aimd.trajectories × aimd.steps + holdout.frames + "
        "labeling.noiseCheck.frames, which the first iteration needs",
    },
    {
        "rule": "!has(self.labeling.noiseCheck) || self.labeling.noiseCheck.frames <= self.holdout.frames",
        "message": "labeling.noiseCheck.frames are frames of the hold-out, and more than holdout.frames",
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

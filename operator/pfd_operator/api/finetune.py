"""FineTuneJob: a pre-trained model becomes one of DFT accuracy for one material."""

from __future__ import annotations

from pydantic import Field

from pfd_operator.contract.labeling import Labeling
from pfd_operator.contract.limits import Convergence
from pfd_operator.contract.model_source import ModelSource
from pfd_operator.contract.selection import Aimd
from pfd_operator.contract.systems import LabelledData
from pfd_operator.contract.training import Training

from .job import JobSpec


class FineTuneJobSpec(JobSpec):
    """What a FineTuneJob is asked to do."""

    model: ModelSource = Field(description="The pre-trained model: exactly one of uri, pretrained; and its branch.")
    data: list[LabelledData] = Field([], max_length=64, description="Labelled frames to start from. Default: none.")
    aimd: Aimd = Field(Aimd(), description="Short ab-initio MD whose steps are the first training frames.")
    labeling: Labeling = Field(description="The reference method: what computes labels.")
    training: Training = Field(Training(), description="How the model is fine-tuned.")
    convergence: Convergence = Field(description="When the model is good enough.")


RULES = (
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
)
"""What the API server checks across fields."""

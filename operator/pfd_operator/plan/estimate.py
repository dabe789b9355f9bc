"""How many labels the limit will take, by the job's own learning curve."""

from __future__ import annotations

from collections.abc import Sequence

from pfd_operator.api.status import IterationRecord, LabelsNeeded
from pfd_operator.contract.learning_curve import LabelEstimate, fit_power_law
from pfd_operator.contract.limits import ErrorLimits


def labels_needed(limits: ErrorLimits, iterations: Sequence[IterationRecord]) -> LabelsNeeded | None:
    """Return how many frames the hold-out's force RMSE limit takes; None once it holds, or with too little to fit."""
    limit = limits.force_rmse
    points = [
        (record.training_frames, float(record.holdout.force_rmse))
        for record in iterations
        if record.training_frames is not None and record.holdout is not None
    ]
    if not points or points[-1][1] <= limit:
        return None
    law = fit_power_law([frames for frames, _ in points], [error for _, error in points])
    if law is None:
        return None
    found, there = law.labels_for(limit), points[-1][0]
    goal, fit = f"a force RMSE of {limit:g} eV/Å on the hold-out", f"by the fit of {law.points} iterations"
    if found is None:
        return LabelsNeeded(message=f"{goal} is not reached by more labels of this kind, {fit}")
    if found.labels <= there:
        # the newest point disproves it
        return None
    more = max(1, round(found.labels) - there)
    frames = f"{round(found.labels)} frames to train on ({_interval(found)})"
    return LabelsNeeded(
        training_frames=round(found.labels),
        low=round(found.low),
        high=None if found.high is None else round(found.high),
        message=f"{goal} takes about {frames}, {fit}; {there} are there, about {more} more are needed",
    )


def _interval(found: LabelEstimate) -> str:
    return f"{round(found.low)} or more" if found.high is None else f"{round(found.low)} to {round(found.high)}"

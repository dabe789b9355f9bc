"""How many labels the limits will take, by the job's own learning curve."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pfd_operator.api.status import IterationRecord, LabelsNeeded
from pfd_operator.contract.learning_curve import LabelEstimate, PowerLaw, fit_power_law
from pfd_operator.contract.limits import ErrorLimits

from .convergence import QUANTITIES


class _Curve(NamedTuple):
    """Errors on the hold-out of one quantity with a limit, against the labels trained on."""

    goal: str
    limit: float
    points: Sequence[tuple[int, float]]

    @property
    def excess(self) -> float:
        """The newest error over its limit."""
        return self.points[-1][1] / self.limit


def labels_needed(
    limits: ErrorLimits, iterations: Sequence[IterationRecord], given_frames: int = 0
) -> LabelsNeeded | None:
    """Return how many frames the limit takes that the hold-out misses by most; None if none, or with too little to fit.

    Parameters
    ----------
    limits
        Of errors.
    iterations
        What was measured.
    given_frames
        Of those trained on, frames that were there from the start: an error falls with what is added. If they are like
        what is added, it falls sooner than told.
    """
    curves = [curve for curve in _curves(limits, iterations, given_frames) if curve.points and curve.excess > 1]
    if not curves:
        return None
    goal, limit, points = max(curves, key=lambda curve: curve.excess)
    law = fit_power_law([frames for frames, _ in points], [error for _, error in points])
    return None if law is None else _told(goal, law, law.labels_for(limit), points[-1][0], given_frames)


def _curves(limits: ErrorLimits, iterations: Sequence[IterationRecord], given_frames: int) -> list[_Curve]:
    measured = [
        (record.training_frames - given_frames, record.holdout)
        for record in iterations
        if record.training_frames is not None and record.holdout is not None
    ]
    # only of what the newest iteration knows can be said by how much it misses
    return [
        _Curve(
            f"the limit of {limit:g} {unit} for the {words} on the hold-out",
            limit,
            [(frames, float(error)) for frames, errors in measured if (error := getattr(errors, key)) is not None],
        )
        for _, key, words, unit in QUANTITIES
        if (limit := getattr(limits, key)) is not None and measured and getattr(measured[-1][1], key) is not None
    ]


def _told(goal: str, law: PowerLaw, found: LabelEstimate | None, there: int, given_frames: int) -> LabelsNeeded:
    fit = f"by the fit of {law.points} iterations"
    if found is None:
        return LabelsNeeded(message=f"{goal} is not reached by more labels of this kind, {fit}")
    beside = f" beside the {given_frames} given ones" if given_frames else ""
    high = None if found.high is None else round(found.high)
    if found.labels <= there:
        # the newest point disproves it: the error falls more slowly than a power law
        high = high if high is not None and high > there else None
        end = "with no upper end" if high is None else f"{high} at most"
        return LabelsNeeded(
            low=there,
            high=high,
            message=f"{goal} takes more than the {there} frames to train on that are there{beside}, {end}, {fit}",
        )
    low, labels = round(found.low), round(found.labels)
    interval = f"{low} or more" if high is None else f"{low} to {high}"
    return LabelsNeeded(
        training_frames=labels,
        low=low,
        high=high,
        message=(
            f"{goal} takes about {labels} frames to train on ({interval}){beside}, {fit}; {there} are there, about "
            f"{max(1, labels - there)} more are needed"
        ),
    )

"""Errors of the model that explored on labels it has never seen: what a job learns about itself for nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ase import Atoms

from pfd_worker.evaluation.errors import FrameError, force_rmse, frame_errors
from pfd_worker.frames import Sampling, is_extreme
from pfd_worker.models.base import AtomisticModel
from pfd_worker.selection.calibration import conformal_scale, held

_CHOSEN = (Sampling.FARTHEST, Sampling.BRINK)


@dataclass(frozen=True)
class Prequential:
    """Errors of an exploring model on the labels that it led to."""

    errors: Sequence[FrameError]
    """Of those that tell how good it is; none if all are extreme."""
    farthest: Sequence[FrameError]
    """Of those chosen for being hard, where there are others, too."""
    error_of_novelty: float | None
    """What novelty is multiplied by for a bound on the force error, in eV/Å; None where that is not known."""
    bound_held: tuple[int, int] | None = None
    """For how many evenly drawn frames the bound held that was told of them, and of how many; None if none was."""


def prequential_errors(explorer: AtomisticModel, new: Sequence[Atoms], scale: float | None = None) -> Prequential:
    """Measure the model that explored on its new labels.

    Frames chosen for being far from the training set, or next to where MD exploded, are harder than what MD visits,
    whatever the model: on them alone no model would ever be good. Those far from it count only where nothing else was
    asked for, and extreme ones never.

    Parameters
    ----------
    scale
        What their novelty was multiplied by before they were labelled, if it was.
    """
    errors = frame_errors(new, explorer.predict(new))
    sampled = [(Sampling(atoms.info["sampling"]), atoms, error) for atoms, error in zip(new, errors, strict=True)]
    even = [(atoms, error) for sampling, atoms, error in sampled if sampling is Sampling.REPRESENTATIVE]
    far = [error for sampling, _, error in sampled if sampling in _CHOSEN]
    usual = [(sampling, error) for sampling, atoms, error in sampled if not is_extreme(atoms)]
    # only what is learned from frames drawn evenly holds for the candidates of the next round
    known = [force_rmse([error]) for _, error in even], [atoms.info.get("novelty") for atoms, _ in even]
    return Prequential(
        errors=(
            [error for _, error in even]
            or [error for sampling, error in usual if sampling is Sampling.FARTHEST]
            or [error for _, error in usual]
        ),
        farthest=far if even else (),
        error_of_novelty=conformal_scale(*known),
        bound_held=None if scale is None else held(*known, scale),
    )

"""From novelty to eV/Å: how large force errors are at a given novelty, learned from labels the model had not seen."""

from __future__ import annotations

import math
from collections.abc import Sequence

CONFIDENCE = 0.9


def conformal_scale(
    errors: Sequence[float], novelty: Sequence[float | None], confidence: float = CONFIDENCE
) -> float | None:
    """Return what a frame's novelty is multiplied by for a bound on its force error.

    Split conformal prediction with the score error over novelty: for a frame drawn as these were, the bound holds with
    at least the given probability, whatever the model (Angelopoulos and Bates, arXiv:2107.07511; with distances of
    latent features: Hu et al., Mach. Learn.: Sci. Technol. 3, 045028 (2022)). The next candidates are drawn otherwise:
    by the next model, and by trajectory. For them it is an estimate, and `held` tells how good it was.

    Parameters
    ----------
    errors
        Force RMSE of each frame, in eV/Å, by the model that explored, before it was trained on it.
    novelty
        Of each frame to that model's training set, when it was chosen; None or infinite where there was none to compare
        with. No scale bounds an error at a novelty of zero: such a frame's score is infinite.
    confidence
        Probability that the bound holds for a frame drawn alike.

    Returns
    -------
    float or None
        In eV/Å per unit of novelty; None if there are too few frames for this confidence, or too many of no novelty.
    """
    known = [(error, new) for error, new in zip(errors, novelty, strict=True) if new is not None and new < math.inf]
    rank = math.ceil((len(known) + 1) * confidence)
    if not known or rank > len(known):
        return None
    scale = sorted(_score(error, new) for error, new in known)[rank - 1]
    return scale if scale < math.inf else None


def held(errors: Sequence[float], novelty: Sequence[float | None], scale: float) -> tuple[int, int]:
    """Return for how many frames a bound that was told before their labels held, and of how many.

    Parameters
    ----------
    errors, novelty
        As `conformal_scale` has them.
    scale
        That the bound was told by.
    """
    known = [(error, new) for error, new in zip(errors, novelty, strict=True) if new is not None and new < math.inf]
    # numbers of numpy do not become JSON
    return sum(bool(error <= scale * new) for error, new in known), len(known)


def _score(error: float, novelty: float) -> float:
    if novelty > 0:
        return error / novelty
    return math.inf if error > 0 else 0.0

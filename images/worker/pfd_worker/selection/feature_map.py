"""A map of what selection chose from: principal components of the features that it measures distances in."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_POINTS = 2000
_DIGITS = 6


class Role(IntEnum):
    """What a frame on the map was to a selection."""

    CANDIDATE = 0
    """Offered, and not chosen."""
    LABELLED = 1
    """In the training set before."""
    CHOSEN = 2
    """To be labelled now."""


@dataclass(frozen=True)
class FeatureMap:
    """Frames on two axes."""

    points: NDArray[np.float64]
    """(n_frames, 2), in the unit of the features."""
    roles: NDArray[np.int64]
    """(n_frames,), values of `Role`."""
    explained: tuple[float, float]
    """Fractions of the variance along both axes."""
    total: int
    """Frames there were before thinning."""

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "points": [[float(f"{value:.{_DIGITS}g}") for value in point] for point in self.points],
            "roles": self.roles.tolist(),
            "explained": list(self.explained),
            "total": self.total,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> FeatureMap:
        """Read what `to_json` gave."""
        points, roles = np.array(content["points"], dtype=np.float64), np.array(content["roles"], dtype=np.int64)
        first, second = content["explained"]
        return cls(points, roles, (first, second), content["total"])


def feature_map(
    candidates: NDArray[np.float32], labelled: NDArray[np.float32], chosen: Collection[int], seed: int
) -> FeatureMap | None:
    """Project features on their two first principal components, unscaled: distances are those of selection.

    Parameters
    ----------
    candidates
        (n_candidates, n_features), by the model that explored.
    labelled
        (n_labelled, n_features) of the training set so far, by the same model.
    chosen
        Rows of `candidates`.
    seed
        Of the thinning: what was chosen stays, then what was labelled before, then candidates.

    Returns
    -------
    FeatureMap or None
        None with fewer than three frames, or when all frames are equal.
    """
    roles = np.full(len(candidates) + len(labelled), Role.CANDIDATE, dtype=np.int64)
    roles[len(candidates) :] = Role.LABELLED
    roles[list(chosen)] = Role.CHOSEN
    rows = _thinned(roles, seed)
    # what is drawn decides the axes, too: a million candidates are not decomposed for a picture
    features = np.array(
        [candidates[row] if row < len(candidates) else labelled[row - len(candidates)] for row in rows],
        dtype=np.float64,
    )
    if len(features) < 3 or features.shape[1] < 2:
        return None
    centred = features - features.mean(axis=0)
    _, strengths, axes = np.linalg.svd(centred, full_matrices=False)
    variance = strengths**2
    if variance.sum() <= 1e-12 * np.sum(features**2):
        return None
    axes = axes[:2]
    # The sign of a singular vector is open: fix it, so that equal data gives an equal picture
    signs = np.sign(axes[np.arange(2), np.abs(axes).argmax(axis=1)])
    points = centred @ (axes * signs[:, None]).T
    explained = variance[:2] / variance.sum()
    return FeatureMap(points, roles[rows], (float(explained[0]), float(explained[1])), len(roles))


def _thinned(roles: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Return the rows that are drawn, in order; labelled frames leave half of the room to candidates."""
    if len(roles) <= MAX_POINTS:
        return np.arange(len(roles))
    rng = np.random.default_rng(seed)
    kept: list[NDArray[np.int64]] = []
    room = MAX_POINTS
    for role in (Role.CHOSEN, Role.LABELLED, Role.CANDIDATE):
        rows = rng.permutation(np.flatnonzero(roles == role))
        others = 0 if role is Role.CANDIDATE else int(np.sum(roles == Role.CANDIDATE))
        rows = rows[: max(room - others, room // 2)]
        kept.append(rows)
        room -= len(rows)
    return np.sort(np.concatenate(kept))

"""What one training found, and the targets: pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np

METHODS = ("random", "quests", "ours", "ours_uncertainty", "scratch")
FIRST_LABELS = 4
GROWTH = 2
ALL = "all"
"""The method that takes the whole pool."""


@dataclass(frozen=True)
class Point:
    """The errors of one training."""

    method: str
    seed: int
    labels: int
    overall: float
    """Force RMSE on the test set, in eV/Å."""
    strata: Mapping[str, float]
    seconds: int
    """Wall time, pauses included."""
    added: Sequence[int] = field(default=())
    """Rows chosen since the point before, where a model had a part in it."""
    conditions: str = ""
    """See `conditions`; empty for points from before they were told."""


@dataclass(frozen=True)
class Target:
    """Force RMSEs to reach, in eV/Å."""

    FACTOR: ClassVar[float] = 1.2
    CRITERIA: ClassVar[tuple[str, ...]] = ("every_stratum", "overall")

    overall: float
    strata: Mapping[str, float]

    def excess(self, point: Point) -> dict[str, float]:
        """Return criterion → error over its target; that of strata is the largest of theirs. It holds up to 1."""
        strata = max(point.strata[name] / limit for name, limit in self.strata.items())
        return {"overall": point.overall / self.overall, "every_stratum": strata}


def read_points(path: Path, conditions: str) -> list[Point]:
    """Return the points of a file, one a line, that were found under these conditions; none if it is not there."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [point for point in (Point(**json.loads(line)) for line in lines) if point.conditions == conditions]


def schedule(frames: int) -> list[int]:
    """Return the numbers of labels that are tried: the last is the whole pool, that before at most 0.71 of it."""
    counts = [FIRST_LABELS]
    while counts[-1] * GROWTH**1.5 < frames:
        counts.append(counts[-1] * GROWTH)
    return [*counts, frames]


def target_of(points: Sequence[Point]) -> Target:
    """Return the target that the errors with all labels set, averaged over seeds."""
    whole = [point for point in points if point.method == ALL]
    strata = {name: Target.FACTOR * float(np.mean([p.strata[name] for p in whole])) for name in whole[0].strata}
    return Target(Target.FACTOR * float(np.mean([point.overall for point in whole])), strata)

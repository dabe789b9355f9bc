"""What one training found, and the targets: pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np

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


def read_points(path: Path) -> list[Point]:
    """Return the points of a file, one a line; none if it is not there."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [Point(**json.loads(line)) for line in lines]


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


def likely(points: Sequence[Point], method: str, criterion: str, counts: Sequence[int]) -> int:
    """Return the fewest labels with which a method held a target so far, of any seed; the middle if it never did."""
    target = target_of(points)
    held = [p.labels for p in points if p.method == method and target.excess(p)[criterion] <= 1.0]
    return min(held, default=counts[len(counts) // 2])


def first_that_holds(counts: Sequence[int], holds: Callable[[int], bool], guess: int) -> int:
    """Return the first count that holds if those after it do, from a guess on; the last one is taken to hold."""
    place, last = counts.index(guess), len(counts) - 1
    if place < last and not holds(guess):
        return next((count for count in counts[place + 1 : last] if holds(count)), counts[last])
    while place and holds(counts[place - 1]):
        place -= 1
    return counts[place]

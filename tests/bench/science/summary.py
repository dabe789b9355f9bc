"""Labels needed until the targets hold, their intervals, and how the methods compare: pure, out of the points found."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.bench.science.points import ALL, FIRST_LABELS, METHODS, Point, Target, schedule, target_of

RESAMPLINGS = 10_000
SEED = 7


@dataclass(frozen=True)
class Needed:
    """Labels that a target takes, with one method and seed."""

    labels: int
    """If the search has not ended: the most that were tried."""
    ended: bool = True


def labels_needed(excess: Mapping[int, float], whole: int) -> Needed:
    """Return the fewest labels with which a target holds; the whole pool if it holds with no number of the schedule.

    Between the number before, which misses it, and this one, the logarithm of the error is taken to be linear in that
    of the number of labels, as learning curves are.

    Parameters
    ----------
    excess
        Number of labels → error over target.
    whole
        Frames of the pool.
    """
    counts = sorted(excess)
    place = next((place for place, count in enumerate(counts) if excess[count] <= 1.0), None)
    if place is None:
        return Needed(whole) if counts[-1] == schedule(whole)[-2] else Needed(counts[-1], ended=False)
    if place == 0:
        return Needed(counts[0])
    low, high = counts[place - 1], counts[place]
    drop = math.log(excess[low]) - math.log(excess[high])
    return Needed(round(low * (high / low) ** (math.log(excess[low]) / drop)))


def needed(points: Sequence[Point], whole: int) -> dict[str, dict[str, dict[int, Needed]]]:
    """Return criterion → method → seed → labels needed, also of searches that have not ended."""
    target = target_of(points)
    excess: dict[str, dict[str, dict[int, dict[int, float]]]] = {}
    for point in points:
        for criterion, value in target.excess(point).items():
            if point.method != ALL:
                of_seed = excess.setdefault(criterion, {}).setdefault(point.method, {}).setdefault(point.seed, {})
                of_seed[point.labels] = value
    return {
        criterion: {
            method: {seed: labels_needed(of, whole) for seed, of in sorted(seeds.items())}
            for method, seeds in methods.items()
        }
        for criterion, methods in excess.items()
    }


def summary(points: Sequence[Point], whole: int) -> dict[str, Any]:
    """Return what science.json says of one pool."""
    target = target_of(points)
    fewest = [point.overall for point in points if point.method == "random" and point.labels == FIRST_LABELS]
    everything = target.overall / Target.FACTOR
    found = needed(points, whole)
    return {
        "frames": whole,
        "error_with_all_labels": everything,
        "error_with_fewest_over_all": float(np.mean(fewest)) / everything if fewest else None,
        "labels_to_target": {
            criterion: {
                method: _with_interval(list(found.get(criterion, {}).get(method, {}).values())) for method in METHODS
            }
            for criterion in Target.CRITERIA
        },
    }


def ratio(pools: Sequence[Mapping[str, Mapping[int, Needed]]], method: str, peer: str) -> dict[str, Any] | None:
    """Return the labels of a method over those of a peer, averaged over pools, by a paired bootstrap over seeds.

    None if a search by the method has not ended: the seeds that have are those that took few. A peer's counts as the
    most labels that it was given, so that the ratio is at most as said; one that was given fewer than the method took
    has only begun, and says nothing.

    Parameters
    ----------
    pools
        Method → seed → labels needed, for each pool.
    """
    of_pools: list[NDArray[np.float64]] = []
    at_most = False
    if not pools:
        return None
    for methods in pools:
        mine, theirs = methods.get(method, {}), methods.get(peer, {})
        both = sorted(set(mine) & set(theirs))
        seeds = [seed for seed in both if theirs[seed].ended or theirs[seed].labels >= mine[seed].labels]
        if not seeds or not all(found.ended for found in mine.values()):
            return None
        at_most |= not all(theirs[seed].ended for seed in seeds)
        pairs = [[mine[seed].labels, theirs[seed].labels] for seed in seeds]
        of_pools.append(np.array(pairs, dtype=float))
    rng = np.random.default_rng(SEED)
    means = [
        np.array([pairs[rng.integers(len(pairs), size=len(pairs))].mean(axis=0) for _ in range(RESAMPLINGS)])
        for pairs in of_pools
    ]
    ratios = np.mean([resampled[:, 0] / resampled[:, 1] for resampled in means], axis=0)
    mean = float(np.mean([pairs[:, 0].mean() / pairs[:, 1].mean() for pairs in of_pools]))
    several = min(map(len, of_pools)) > 1
    interval = np.quantile(ratios, [0.025, 0.975]).tolist() if several else None
    return {"mean": mean, "ci95": interval, "at_most": at_most}


def _with_interval(found: Sequence[Needed]) -> dict[str, Any]:
    array = np.array([each.labels for each in found], dtype=float)
    draws = np.random.default_rng(SEED).integers(len(array), size=(RESAMPLINGS, len(array))) if found else None
    return {
        "mean": float(array.mean()) if found else None,
        # one seed says nothing of another
        "ci95": np.quantile(array[draws].mean(axis=1), [0.025, 0.975]).tolist() if len(array) > 1 else None,
        "seeds": len(array),
        "at_least": not all(each.ended for each in found),
    }

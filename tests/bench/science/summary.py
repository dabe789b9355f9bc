"""Labels needed until the targets hold, their intervals, and how the methods compare: pure, out of the points found."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.bench.science.points import ALL, FIRST_LABELS, Point, Target, schedule, target_of

RESAMPLINGS = 10_000
SEED = 7


def labels_needed(excess: Mapping[int, float], whole: int) -> int | None:
    """Return the fewest labels with which a target holds; the whole pool if it holds with no number of the schedule.

    Between the number before, which misses it, and this one, the logarithm of the error is taken to be linear in that
    of the number of labels, as learning curves are. None if it was not searched to the end.

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
        return whole if counts[-1] == schedule(whole)[-2] else None
    if place == 0:
        return counts[0]
    low, high = counts[place - 1], counts[place]
    drop = math.log(excess[low]) - math.log(excess[high])
    return round(low * (high / low) ** (math.log(excess[low]) / drop))


def needed(points: Sequence[Point], whole: int) -> dict[str, dict[str, dict[int, int]]]:
    """Return criterion → method → seed → labels needed."""
    target = target_of(points)
    excess: dict[str, dict[str, dict[int, dict[int, float]]]] = {}
    for point in points:
        for criterion, value in target.excess(point).items():
            if point.method != ALL:
                of_seed = excess.setdefault(criterion, {}).setdefault(point.method, {}).setdefault(point.seed, {})
                of_seed[point.labels] = value
    return {
        criterion: {
            method: {
                seed: labels for seed, of in sorted(seeds.items()) if (labels := labels_needed(of, whole)) is not None
            }
            for method, seeds in methods.items()
        }
        for criterion, methods in excess.items()
    }


def summary(points: Sequence[Point], whole: int) -> dict[str, Any]:
    """Return what science.json says of one pool."""
    target = target_of(points)
    fewest = [point.overall for point in points if point.method == "random" and point.labels == FIRST_LABELS]
    everything = target.overall / Target.FACTOR
    return {
        "frames": whole,
        "error_with_all_labels": everything,
        "error_with_fewest_over_all": float(np.mean(fewest)) / everything if fewest else None,
        "labels_to_target": {
            criterion: {method: _with_interval(list(seeds.values())) for method, seeds in methods.items() if seeds}
            for criterion, methods in needed(points, whole).items()
        },
    }


def ratio(pools: Sequence[Mapping[str, Mapping[int, int]]], method: str, peer: str) -> dict[str, Any] | None:
    """Return the labels of a method over those of a peer, averaged over pools, by a paired bootstrap over seeds.

    Parameters
    ----------
    pools
        Method → seed → labels needed, for each pool.
    """
    of_pools: list[NDArray[np.float64]] = []
    for methods in pools:
        seeds = sorted(set(methods.get(method, {})) & set(methods.get(peer, {})))
        if not seeds:
            return None
        of_pools.append(np.array([[methods[method][seed], methods[peer][seed]] for seed in seeds], dtype=float))
    rng = np.random.default_rng(SEED)
    means = [
        np.array([pairs[rng.integers(len(pairs), size=len(pairs))].mean(axis=0) for _ in range(RESAMPLINGS)])
        for pairs in of_pools
    ]
    ratios = np.mean([resampled[:, 0] / resampled[:, 1] for resampled in means], axis=0)
    mean = float(np.mean([pairs[:, 0].mean() / pairs[:, 1].mean() for pairs in of_pools]))
    several = min(map(len, of_pools)) > 1
    return {"mean": mean, "ci95": np.quantile(ratios, [0.025, 0.975]).tolist() if several else None}


def _with_interval(values: Sequence[int]) -> dict[str, Any]:
    array = np.array(values, dtype=float)
    draws = np.random.default_rng(SEED).integers(len(array), size=(RESAMPLINGS, len(array)))
    return {
        "mean": float(array.mean()),
        # one seed says nothing of another
        "ci95": np.quantile(array[draws].mean(axis=1), [0.025, 0.975]).tolist() if len(array) > 1 else None,
        "seeds": len(array),
    }

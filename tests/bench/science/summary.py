"""Labels needed until the targets hold, their intervals, and how the methods compare: pure, out of the points found."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.science.points import ALL, Point, Target, target_of

RESAMPLINGS = 10_000
SEED = 7


def labels_needed(excess: Mapping[int, float], whole: int) -> int:
    """Return the labels from which on a target holds; the whole pool if it does not hold at the largest number tried.

    Between the last number that misses it and the next, the logarithm of the error is taken to be linear in that of the
    number of labels, as learning curves are.

    Parameters
    ----------
    excess
        Number of labels → error over target.
    whole
        Frames of the pool.
    """
    counts = sorted(excess)
    missed = [count for count in counts if excess[count] > 1.0]
    if not missed:
        return counts[0]
    if missed[-1] == counts[-1]:
        return whole
    low, high = missed[-1], counts[counts.index(missed[-1]) + 1]
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
            method: {seed: labels_needed(of, whole) for seed, of in sorted(seeds.items())}
            for method, seeds in methods.items()
        }
        for criterion, methods in excess.items()
    }


def summary(points: Sequence[Point], whole: int) -> dict[str, Any]:
    """Return what science.json says of one pool."""
    target = target_of(points)
    fewest = [point.overall for point in points if point.method == "random" and point.labels < whole]
    everything = target.overall / Target.FACTOR
    return {
        "frames": whole,
        "error_with_all_labels": everything,
        "error_with_fewest_over_all": max(fewest) / everything if fewest else None,
        "labels_to_target": {
            criterion: {method: _with_interval(list(seeds.values())) for method, seeds in methods.items()}
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
    return {"mean": mean, "ci95": np.quantile(ratios, [0.025, 0.975]).tolist()}


def _with_interval(values: Sequence[int]) -> dict[str, Any]:
    array = np.array(values, dtype=float)
    draws = np.random.default_rng(SEED).integers(len(array), size=(RESAMPLINGS, len(array)))
    return {
        "mean": float(array.mean()),
        "ci95": np.quantile(array[draws].mean(axis=1), [0.025, 0.975]).tolist(),
        "seeds": len(array),
    }

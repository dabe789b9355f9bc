"""Fair shares: a number of frames dealt over groups as evenly as the groups can give, and spread over a sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

_Item = TypeVar("_Item")


def fair_quotas(
    available: Mapping[str, int], total: int, seed: int, needed: Mapping[str, int] | None = None
) -> dict[str, int]:
    """Deal `total` over the groups evenly; what a small group cannot give, the others do.

    Parameters
    ----------
    available
        Group → how many it has.
    total
        How many are wanted; fewer are dealt if there are not as many.
    seed
        Decides which groups get the odd ones.
    needed
        Group → how many are dealt to it before anything else is, if there are as many; nothing by default.

    Returns
    -------
    dict
        Group → quota; the sum is min(total, all available).
    """
    quotas = dict.fromkeys(available, 0) if needed is None else fair_quotas(needed, total, seed)
    order = [str(name) for name in np.random.default_rng(seed).permutation(sorted(available))]
    left, level = min(total, sum(available.values())) - sum(quotas.values()), 0
    while left:
        level += 1
        for name in order:
            if left and quotas[name] < min(level, available[name]):
                quotas[name] += 1
                left -= 1
    return quotas


def middles(items: Sequence[_Item], count: int) -> list[_Item]:
    """Return the middle one of each of `count` equal parts of a sequence."""
    return [items[(2 * part + 1) * len(items) // (2 * count)] for part in range(count)]
